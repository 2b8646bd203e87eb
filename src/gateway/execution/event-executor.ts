import type { ExecutionResult } from 'graphql';
import type { DomainEvent } from '../../events/event.ts';
import type { ListUpcoming, StreamItem } from '../../events/stream.ts';
import { executeWhenAvailable } from './retry-on-outage.ts';

/** A page of the log. */
const MAX_BATCH_SIZE = 100;
/** Fields that the results of a batch may have together. */
const MAX_BATCH_COMPLEXITY = 20_000;
/** Results that wait for longer are executed again: what they have read beside their events may have changed. */
const MAX_WAIT_MS = 1_000;

type Execution = ExecutionResult | Promise<ExecutionResult>;
type Execute = (item: unknown) => Execution;
type Batch = readonly [Execution, ...Promise<ExecutionResult>[]];

export interface EventExecutorOptions {
  /**
   * Calls `start` with a function that executes an item: loads of the items that are executed in one call share
   * statements. Returns the first of the results that `start` returns.
   */
  readonly runBatch: (start: (execute: Execute) => Batch) => Execution;
  /** Returns the greatest number of fields of a result. Called at most once. */
  readonly complexity: () => number;
  readonly isWanted: () => boolean;
}

/**
 * Executes the events of a stream one by one. If one has to load data, executes those that are buffered behind it as well:
 * their loads then share its statements, and their results wait until they are asked for.
 */
export class EventExecutor {
  readonly #options: EventExecutorOptions;
  /** Results that wait, by event. */
  #waiting: Map<DomainEvent, Promise<ExecutionResult>> | undefined;
  #waitingSince = Infinity;
  #maxBatchSize: number | undefined;
  /** Doubled by each batch up to the maximum, so that for a slow client little is executed in vain. */
  #batchSize = MAX_BATCH_SIZE;

  constructor(options: EventExecutorOptions) {
    this.#options = options;
  }

  /** Executes the next item. Repeats it while the database is unavailable. */
  execute(item: unknown, listUpcoming: ListUpcoming): Execution {
    const executeBatch = (): Execution => this.#executeBatch(item, listUpcoming);
    const first = this.#take(item) ?? executeBatch();
    return first instanceof Promise
      ? executeWhenAvailable(executeBatch, first, this.#options.isWanted)
      : first;
  }

  #take(item: unknown): Promise<ExecutionResult> | undefined {
    const event = isEvent(item) ? item.event : undefined;
    const result = event && this.#waiting?.get(event);
    if (event === undefined || result === undefined) return undefined;
    if (performance.now() - this.#waitingSince > MAX_WAIT_MS) {
      this.#batchSize = 1;
      return undefined;
    }
    this.#waiting?.delete(event);
    return result;
  }

  #executeBatch(item: unknown, listUpcoming: ListUpcoming): Execution {
    this.#waiting = undefined;
    return this.#options.runBatch((execute) => {
      const first = execute(item);
      // Without loads there is nothing to share.
      if (!(first instanceof Promise)) return [first];
      const upcoming = this.#executeUpcoming(execute, listUpcoming);
      this.#waitingSince = Infinity;
      void Promise.allSettled([first]).then(() => (this.#waitingSince = performance.now()));
      // Those that are never asked for must not reject unhandled.
      void Promise.allSettled(upcoming);
      return [first, ...upcoming];
    });
  }

  #executeUpcoming(execute: Execute, listUpcoming: ListUpcoming): Promise<ExecutionResult>[] {
    this.#maxBatchSize ??= Math.min(
      MAX_BATCH_SIZE,
      Math.floor(MAX_BATCH_COMPLEXITY / this.#options.complexity()),
    );
    const size = Math.min(this.#batchSize, this.#maxBatchSize);
    this.#batchSize = Math.min(MAX_BATCH_SIZE, 2 * this.#batchSize);
    const waiting = new Map<DomainEvent, Promise<ExecutionResult>>();
    for (const item of size > 1 ? listUpcoming(size - 1) : [])
      if (isEvent(item)) waiting.set(item.event, (async () => execute(item))());
    this.#waiting = waiting;
    return [...waiting.values()];
  }
}

const isEvent = (item: unknown): item is Extract<StreamItem, { type: 'event' }> =>
  typeof item === 'object' && item !== null && 'event' in item;
