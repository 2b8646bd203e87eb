import { simulate } from './cluster.ts';
import type { Outcome } from './cluster.ts';
import { COSTS } from './costs.ts';

/** A deployment and its load at the busiest hour. */
export interface Deployment {
  readonly nodes: number;
  readonly nodeCores: number;
  readonly nodeMemoryMb: number;
  readonly postgresCores: number;
  readonly bus: 'NOTIFY' | 'Redis';
  readonly connections: number;
  readonly sendsPerSecond: number;
  /** Connected subscribers of a conversation. */
  readonly readers: number;
  /** Clients that connect each second, each with an initial query. */
  readonly connectsPerSecond: number;
  readonly loginsPerSecond: number;
  readonly seconds: number;
  readonly seed: number;
}

/** Use of one resource. It is saturated at 1. */
export interface Use {
  readonly resource: string;
  readonly used: number;
  readonly available: number;
  readonly unit: string;
}

export interface Estimate {
  readonly outcome: Outcome;
  readonly uses: readonly Use[];
  readonly storedGbPerDay: number;
  /** The most used resource. */
  readonly first: Use;
}

/** A disk of a hosted database. */
const DISK_MB_PER_SECOND = 200;
/** A network card of 10 Gbit/s. */
const BUS_MB_PER_SECOND = 1_250;
/** Memory that a node leaves to the system and to buffers. */
const MEMORY_RESERVE = 0.75;

export function estimate(deployment: Deployment): Estimate {
  const { nodes, connections, sendsPerSecond, connectsPerSecond, loginsPerSecond, readers } = deployment;
  const background =
    (connectsPerSecond * (COSTS.connect.value + COSTS.initialQuery.value) + connections * COSTS.idle.value) /
    nodes /
    1e6;
  const outcome = simulate({ ...deployment, load: { sendsPerSecond }, background });
  const postgresOther =
    (connectsPerSecond * (COSTS.postgresConnect.value + COSTS.postgresQuery.value) +
      loginsPerSecond * COSTS.postgresLogin.value) /
    1e6;
  // Each event goes to the nodes that have readers; nodes - 1 of them are others.
  const receivers = Math.max(0, nodes - 1) * (1 - (1 - 1 / nodes) ** readers);
  const node = (resource: string, used: number, available: number, unit: string): Use => ({
    resource: `node ${resource}`,
    used,
    available,
    unit,
  });
  const uses: Use[] = [
    node('thread', outcome.nodeBusy, 1, 'core'),
    node(
      'other threads',
      (loginsPerSecond * COSTS.login.value) / nodes / 1e6,
      deployment.nodeCores - 1 || 1,
      'cores',
    ),
    node(
      'memory',
      COSTS.base.value + (connections * COSTS.connection.value) / nodes / 1_024,
      deployment.nodeMemoryMb * MEMORY_RESERVE,
      'MB',
    ),
    {
      resource: 'PostgreSQL CPU',
      used: outcome.postgresBusy + postgresOther,
      available: deployment.postgresCores,
      unit: 'cores',
    },
    {
      resource: 'PostgreSQL WAL',
      used: (sendsPerSecond * COSTS.wal.value) / 1e6,
      available: DISK_MB_PER_SECOND,
      unit: 'MB/s',
    },
    ...(deployment.bus === 'Redis' && nodes > 1
      ? [
          {
            resource: 'Redis CPU',
            used: (sendsPerSecond * receivers * COSTS.redis.value) / 1e6,
            available: 1,
            unit: 'core',
          },
        ]
      : []),
    {
      resource: 'bus',
      used: (sendsPerSecond * receivers * COSTS.event.value) / 1e6,
      available: BUS_MB_PER_SECOND,
      unit: 'MB/s',
    },
  ];
  const [first] = uses.toSorted((a, b) => b.used / b.available - a.used / a.available);
  if (first === undefined) throw new Error('There are no resources');
  return {
    outcome,
    uses,
    storedGbPerDay: (sendsPerSecond * COSTS.stored.value * 86_400) / 1e9,
    first,
  };
}

const MAX_FACTOR = 1_024;
const STEPS = 4;

/** Returns how many times the load a deployment carries before a resource is saturated, and which. */
export function findLimit(deployment: Deployment): { readonly factor: number; readonly first: Use } {
  const at = (factor: number): Estimate =>
    estimate({
      ...deployment,
      seconds: 1,
      connections: deployment.connections * factor,
      sendsPerSecond: deployment.sendsPerSecond * factor,
      connectsPerSecond: deployment.connectsPerSecond * factor,
      loginsPerSecond: deployment.loginsPerSecond * factor,
    });
  const isOver = ({ outcome, first }: Estimate): boolean =>
    outcome.isSaturated || first.used >= first.available;
  let [low, high] = [0, 1];
  let over = at(high);
  while (!isOver(over) && high < MAX_FACTOR) {
    [low, high] = [high, high * 2];
    over = at(high);
  }
  for (let step = 0; step < STEPS; step += 1) {
    const middle = (low + high) / 2;
    const result = at(middle);
    if (isOver(result)) [high, over] = [middle, result];
    else low = middle;
  }
  return { factor: low, first: over.first };
}
