import { AsyncLocalStorage } from 'node:async_hooks';
import type { PostgresPool, PostgresPoolClient } from 'kysely';
import { FairQueue } from '../lib/fair-queue.ts';
import type { Slot } from '../lib/fair-queue.ts';
import type { LongTaskWatch } from '../lib/long-task-watch.ts';
import type { Tracing } from '../tracing.ts';
import { traceQueries } from './trace-queries.ts';

/** Attributes database work to those who caused it, so that none of them can keep the others from the database. */
export interface DatabaseShares {
  /**
   * Runs the work. Its statements wait in the queue of `payer`, for example an account; those of other work, such as
   * batches for several accounts, take turns with those of payers.
   */
  run<Result>(payer: string, work: () => Result): Result;
}

/** The use of the connections of a pool. */
export interface PoolUse {
  /** Connections that are assigned to a statement or transaction. */
  readonly used: number;
  /** Statements and transactions that wait for a connection. */
  readonly waiting: number;
  /** Calls the listener with the wait for each connection, in milliseconds, until the returned function is called. */
  onConnected(listener: (waitMs: number) => void): () => void;
}

export interface FairPool {
  readonly pool: PostgresPool;
  readonly use: PoolUse;
  readonly shares: DatabaseShares;
}

export interface FairPoolOptions {
  readonly concurrency: number;
  /** Longest wait for a connection. Default: unbounded. */
  readonly timeoutMs?: number | undefined;
  /** Records statements in spans. */
  readonly tracing?: Tracing | undefined;
  /** Watches the use of connections. */
  readonly watch?: LongTaskWatch | undefined;
}

/**
 * Puts a fair queue before the connections of a pool. A connection is assigned to a single statement or to a transaction,
 * whose whole duration counts as use by its payer.
 */
export function createFairPool(
  pool: PostgresPool,
  { concurrency, timeoutMs, tracing, watch }: FairPoolOptions,
): FairPool {
  const queue = new FairQueue({ concurrency, timeoutMs });
  const listeners = new Set<(waitMs: number) => void>();
  const currentPayer = new AsyncLocalStorage<string>();
  /** By the client of `pool`: Kysely keeps state per client, so each must always have the same wrapper. */
  const clients = new WeakMap<PostgresPoolClient, FairClient>();
  return {
    pool: {
      options: pool.options,
      end: () => pool.end(),
      async connect() {
        const startedAt = performance.now();
        const acquired = queue.acquire(currentPayer.getStore());
        const slot = acquired instanceof Promise ? await acquired : acquired;
        try {
          const client = await pool.connect();
          let fairClient = clients.get(client);
          if (fairClient === undefined)
            clients.set(client, (fairClient = new FairClient(client, tracing, watch)));
          fairClient.slot = slot;
          watch?.begin(fairClient);
          const waitMs = performance.now() - startedAt;
          for (const listener of listeners) listener(waitMs);
          return fairClient;
        } catch (error) {
          slot.release();
          throw error;
        }
      },
    },
    use: {
      get used() {
        return queue.running;
      },
      get waiting() {
        return queue.queued;
      },
      onConnected(listener) {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    },
    shares: { run: (payer, work) => currentPayer.run(payer, work) },
  };
}

class FairClient implements PostgresPoolClient {
  /** Released with the client. */
  slot: Slot | undefined;
  readonly query: PostgresPoolClient['query'];
  readonly #client: PostgresPoolClient;
  readonly #watch: LongTaskWatch | undefined;

  constructor(client: PostgresPoolClient, tracing: Tracing | undefined, watch: LongTaskWatch | undefined) {
    this.#client = client;
    this.#watch = watch;
    this.query = tracing === undefined ? client.query : traceQueries(tracing, client.query);
  }

  release(destroy: boolean): void {
    this.#watch?.end(this);
    this.#client.release(destroy);
    this.slot?.release();
  }
}
