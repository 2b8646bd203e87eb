import { setImmediate as nextTurn } from 'node:timers/promises';
import { FairQueue } from '../../lib/fair-queue.ts';
import type { Cost } from './operation-cost.ts';

/** An operation with more statements is large: it takes several milliseconds of CPU. */
const LARGE_STATEMENTS = 20;
/** A query that reads more rows is large: completing its result blocks the event loop for tens of milliseconds. */
const LARGE_ROWS = 500;
/** Time for which the queries of a payer are expected to be large after one has read many rows. */
const MEMORY_MS = 2_000;
const MAX_PAYERS = 1_000;

/**
 * Runs large operations one at a time, fairly between their payers, with a turn of the event loop in between. Otherwise
 * those of several accounts would occupy the event loop in succession, and all others would wait for all of them.
 */
export class LargeOperations {
  readonly #queue = new FairQueue({ concurrency: 1 });
  /** Payers whose queries read many rows, with the time of the last one. */
  readonly #lastAt = new Map<string, number>();

  isLarge(payer: string, { isQuery, statements }: Pick<Cost, 'isQuery' | 'statements'>): boolean {
    return statements > LARGE_STATEMENTS || (isQuery && this.#isExpected(payer));
  }

  /** Runs a large operation in its turn. */
  async run<Result>(payer: string, work: () => Promise<Result> | Result): Promise<Result> {
    const slot = await this.#queue.acquire(payer);
    try {
      return await work();
    } finally {
      await nextTurn();
      slot.release();
    }
  }

  /** Remembers a payer whose operation has read many rows. */
  noteRows(payer: string, rows: number): void {
    if (rows <= LARGE_ROWS) return;
    this.#lastAt.delete(payer);
    this.#lastAt.set(payer, performance.now());
    const [oldest] = this.#lastAt.keys();
    if (this.#lastAt.size > MAX_PAYERS && oldest !== undefined) this.#lastAt.delete(oldest);
  }

  #isExpected(payer: string): boolean {
    const lastAt = this.#lastAt.get(payer);
    if (lastAt === undefined) return false;
    if (performance.now() - lastAt < MEMORY_MS) return true;
    this.#lastAt.delete(payer);
    return false;
  }
}
