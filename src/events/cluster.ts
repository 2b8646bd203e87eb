import type { Logger } from '../log.ts';
import type { Bus } from './bus.ts';
import type { Tails } from './tail.ts';

/** Joins this process's bus to those of the other nodes, through the PostgreSQL that they share. */
export async function connectCluster(options: {
  readonly url: string;
  readonly bus: Bus;
  readonly tails: Tails;
  readonly log: Logger;
}): Promise<AsyncDisposable> {
  throw new Error(`not written: ${options.url}`);
}
