import type { Deployment } from './estimate.ts';

/** Assumptions of docs/scaling.md about the busiest hour. */
const SENDS_PER_HOUR = 10;
/** 20 members of a conversation, of whom 30 % are connected. */
const READERS = 6;
/** A client connects again after half an hour. */
const CONNECTED_SECONDS = 1_800;
const LOGIN_SHARE = 0.01;

/** An example of docs/scaling.md: so many cells, each with its own nodes, PostgreSQL and Redis. */
interface Plan {
  readonly title: string;
  readonly cells: number;
  readonly cell: Deployment;
}

const createCell = (
  connections: number,
  servers: Pick<Deployment, 'nodes' | 'postgresCores' | 'bus'>,
): Deployment => ({
  ...servers,
  nodeCores: 4,
  nodeMemoryMb: 4_096,
  connections,
  sendsPerSecond: (connections * SENDS_PER_HOUR) / 3_600,
  readers: READERS,
  connectsPerSecond: connections / CONNECTED_SECONDS,
  loginsPerSecond: (connections * LOGIN_SHARE) / CONNECTED_SECONDS,
  seconds: 4,
  seed: 1,
});

export const PLANS: readonly Plan[] = [
  {
    title: '10,000 accounts',
    cells: 1,
    cell: createCell(10_000, { nodes: 2, postgresCores: 2, bus: 'NOTIFY' }),
  },
  {
    title: '1 million accounts',
    cells: 1,
    cell: createCell(1e6, { nodes: 24, postgresCores: 16, bus: 'Redis' }),
  },
  {
    // Of 100 million accounts, each has 1.5 connections, as its circles are in several cells.
    title: '100 million accounts',
    cells: 30,
    cell: createCell(5e6, { nodes: 120, postgresCores: 48, bus: 'Redis' }),
  },
];
