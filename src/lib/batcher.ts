import { AsyncLocalStorage } from 'node:async_hooks';
import { DomainError, isUnavailable } from '../errors.ts';

const RETRY_AFTER_MS = 1_000;

/** Collects items into batches. */
export interface Batcher<Item, Result> {
  /** Queues an item and returns its result. Throws RATE_LIMITED when the queue is full. */
  submit(item: Item): Promise<Result>;
  /** Resolves once no item is queued or in flight. */
  idle(): Promise<void>;
}

export interface BatcherOptions<Item> {
  readonly maxBatchSize: number;
  /** Max batches in flight. Default: 1. */
  readonly concurrency?: number;
  /** Extra batches allowed while one takes longer than `slowAfterMs`. Default: none. */
  readonly extraWhenSlow?: number;
  readonly slowAfterMs?: number;
  /**
   * A batch waits until it has as many items as the largest one that has been in flight for less than this time: a batch
   * that completes returns many results, whose next items would otherwise start with the first of them. Default: 0.
   */
  readonly fillMs?: number;
  /** Items of one partition keep their order: they are never in two batches in flight. Default: one partition. */
  readonly partitionBy?: (item: Item) => unknown;
  /** Max total size of queued items. Default: unbounded. */
  readonly maxQueuedSize?: number;
  /** Default: 1. */
  readonly sizeOf?: (item: Item) => number;
  /** Called with the number of items of each batch. */
  readonly onBatch?: ((size: number) => void) | undefined;
  /** Called for each item that finds the queue full. */
  readonly onFull?: (item: Item) => void;
}

interface Queued<Item, Result> {
  readonly item: Item;
  readonly partition: unknown;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Batches items that arrive in the same turn of the event loop, or while earlier batches are in flight: a thousand
 * concurrent items cost a few statements, and a single one has no delay. `work` returns one result for each item, in
 * their order; a promise for those that take longer, for which the next batch does not wait. When it throws, all items of the batch fail; when the error is an outage (`isUnavailable`), all queued
 * items fail as well, as each further batch would only time out, too.
 */
export function createBatcher<Item, Result>(
  work: (items: readonly Item[]) => Promise<readonly (Result | Promise<Result>)[]>,
  options: BatcherOptions<Item>,
): Batcher<Item, Result> {
  const { maxBatchSize, concurrency = 1, extraWhenSlow = 0, slowAfterMs = Infinity, fillMs = 0 } = options;
  const {
    partitionBy = () => undefined,
    maxQueuedSize = Infinity,
    sizeOf = () => 1,
    onFull,
    onBatch,
  } = options;
  /** Queued items by partition, in order of arrival. */
  const queues = new Map<unknown, Queued<Item, Result>[]>();
  const busyPartitions = new Set<unknown>();
  const inFlight = new Set<Promise<void>>();
  /** Sizes of the batches in flight that the next one waits to have. */
  const filling = new Set<{ readonly size: number }>();
  /** Results that the batches in flight do not include. */
  const inFlightResults = new Set<Promise<void>>();
  let slow = 0;
  let queuedSize = 0;
  let scheduled: NodeJS.Immediate | undefined;

  const takeBatch = (): Queued<Item, Result>[] => {
    const batch: Queued<Item, Result>[] = [];
    for (const [partition, queue] of queues) {
      if (busyPartitions.has(partition)) continue;
      const rest = queue.splice(maxBatchSize - batch.length);
      batch.push(...queue);
      busyPartitions.add(partition);
      // Reinserted at the end of the map, so that a busy partition does not starve the others.
      queues.delete(partition);
      if (rest.length > 0) queues.set(partition, rest);
      if (batch.length === maxBatchSize) break;
    }
    for (const { item } of batch) queuedSize -= sizeOf(item);
    return batch;
  };

  const rejectQueued = (error: unknown): void => {
    for (const { item, reject } of [...queues.values()].flat()) {
      queuedSize -= sizeOf(item);
      reject(error);
    }
    queues.clear();
  };

  const settle = async (batch: readonly Queued<Item, Result>[]): Promise<void> => {
    try {
      const results = await work(batch.map(({ item }) => item));
      if (results.length !== batch.length) throw new Error('The work must return one result for each item');
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] as Result);
      freeLater(batch, results);
    } catch (error) {
      for (const { reject } of batch) reject(error);
      if (isUnavailable(error)) rejectQueued(error);
      for (const { partition } of batch) busyPartitions.delete(partition);
    }
  };

  /** Frees each partition once the results of all its items are known. */
  const freeLater = (
    batch: readonly Queued<Item, Result>[],
    results: readonly (Result | Promise<Result>)[],
  ): void => {
    const delayed = new Map<unknown, { size: number; results: Promise<Result>[] }>();
    for (const [index, { item, partition }] of batch.entries()) {
      const result = results[index];
      if (!(result instanceof Promise)) continue;
      const entry = delayed.get(partition) ?? { size: 0, results: [] };
      entry.size += sizeOf(item);
      entry.results.push(result);
      delayed.set(partition, entry);
    }
    for (const { partition } of batch) if (!delayed.has(partition)) busyPartitions.delete(partition);
    for (const [partition, { size, results: pending }] of delayed) {
      queuedSize += size;
      const settled = Promise.allSettled(pending).then(() => {
        queuedSize -= size;
        inFlightResults.delete(settled);
        busyPartitions.delete(partition);
        startBatches();
      });
      inFlightResults.add(settled);
    }
  };

  const run = async (batch: readonly Queued<Item, Result>[]): Promise<void> => {
    const stopFilling = startFilling(batch.length);
    if (extraWhenSlow === 0) return settle(batch).finally(stopFilling);
    let isSlow = false;
    const timer = setTimeout(() => {
      isSlow = true;
      slow += 1;
      startBatches();
    }, slowAfterMs);
    await settle(batch);
    stopFilling();
    clearTimeout(timer);
    if (isSlow) slow -= 1;
  };

  /** Makes the next batch wait to be filled, for a time. Returns a function that ends this. */
  const startFilling = (size: number): (() => void) => {
    if (fillMs === 0) return () => undefined;
    const entry = { size };
    filling.add(entry);
    const timer = setTimeout(() => {
      filling.delete(entry);
      startBatches();
    }, fillMs);
    return () => {
      clearTimeout(timer);
      filling.delete(entry);
    };
  };

  const isFilled = (): boolean => {
    if (filling.size === 0) return true;
    let missing = Math.max(...[...filling].map(({ size }) => size));
    for (const [partition, { length }] of queues) {
      if (!busyPartitions.has(partition)) missing -= length;
      if (missing <= 0) return true;
    }
    return false;
  };

  const startBatches = (): void => {
    scheduled = undefined;
    while (inFlight.size < concurrency + Math.min(slow, extraWhenSlow) && isFilled()) {
      const batch = takeBatch();
      if (batch.length === 0) return;
      onBatch?.(batch.length);
      const batchRun = run(batch).then(() => {
        inFlight.delete(batchRun);
        startBatches();
      });
      inFlight.add(batchRun);
    }
  };

  // A batch is of several callers: without this, it would run in the async context of the one that was first.
  const startDetached = AsyncLocalStorage.bind(startBatches);

  return {
    async submit(item) {
      if (queuedSize + sizeOf(item) > maxQueuedSize) {
        onFull?.(item);
        throw new DomainError('RATE_LIMITED', 'Too many requests are queued. Try again later.', {
          retryAfterMs: RETRY_AFTER_MS,
        });
      }
      queuedSize += sizeOf(item);
      const partition = partitionBy(item);
      const { promise, resolve, reject } = Promise.withResolvers<Result>();
      const queued = { item, partition, resolve, reject };
      const queue = queues.get(partition);
      if (queue === undefined) queues.set(partition, [queued]);
      else queue.push(queued);
      scheduled ??= setImmediate(startDetached);
      return promise;
    },
    async idle() {
      startDetached();
      while (inFlight.size + inFlightResults.size > 0) await Promise.all([...inFlight, ...inFlightResults]);
    },
  };
}
