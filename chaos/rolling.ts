import { startPostgres } from '../test/harness/postgres.ts';
import { startBalancer } from './balancer.ts';
import { openCrowd, waitUntilBack } from './crowd.ts';
import type { FaultCounts } from './delivery-log.ts';
import { createFolder } from './fixtures.ts';
import type { Movements } from './movements.ts';
import { startServer } from './server.ts';

export interface RollingOptions {
  readonly clients: number;
  /** Time over which each node spreads the closes. */
  readonly spreadMs: number;
  /** How often every node is restarted. */
  readonly rounds: number;
}

/** How the clients of one node moved when it was restarted. */
export interface Roll extends ReturnType<Movements['take']> {
  /** Time from the signal to the exit of the process. */
  readonly drainMs: number;
}

export interface RollingOutcome extends FaultCounts {
  readonly rolls: readonly Roll[];
  /** Reconnects per second that no node may exceed: clients by the spread, with a margin for their jitter. */
  readonly ceiling: number;
}

/** Time for the balancer to notice that a node is not ready. */
export const DELAY_MS = 1_000;
const CEILING_MARGIN = 1.5;
const NODES = 2;

/** Something that is restarted while its clients move to the others. */
export interface RollingNode {
  /** Resolves when it has exited. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** Restarts two nodes behind a balancer, one after the other, while clients of all kinds read and members write. */
export async function runRolling({ clients, spreadMs, rounds }: RollingOptions): Promise<RollingOutcome> {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await startPostgres());
  const env = {
    DATABASE_URL: postgres.url,
    MEDIA_DIR: await createFolder(stack),
    DRAIN_DELAY_MS: String(DELAY_MS),
    DRAIN_SPREAD_MS: String(spreadMs),
    PRESENCE_GRACE_MS: '5000',
  };
  const nodes = [];
  for (let index = 0; index < NODES; index += 1) {
    const name = `node-${index + 1}`;
    nodes.push({ name, ...stack.use(await startServer({ ...env, NODE_NAME: name })) });
  }
  const balancer = stack.use(await startBalancer(nodes));
  const crowd = stack.use(await openCrowd(balancer.url, clients));
  const rolls = await rollAll(nodes, rounds, crowd.movements);
  const counts = await crowd.finish();
  return { ...counts, rolls, ceiling: Math.ceil((CEILING_MARGIN * clients * 1_000) / spreadMs) };
}

/** Restarts the nodes, and waits after each until all clients are back. */
export async function rollAll(
  nodes: readonly RollingNode[],
  rounds: number,
  movements: Movements,
): Promise<Roll[]> {
  const rolls: Roll[] = [];
  for (let round = 0; round < rounds; round += 1)
    for (const node of nodes) {
      const startedAt = performance.now();
      await node.stop();
      const drainMs = Math.round(performance.now() - startedAt);
      await node.start();
      await waitUntilBack(movements);
      rolls.push({ drainMs, ...movements.take(startedAt) });
    }
  return rolls;
}
