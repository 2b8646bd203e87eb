import { DomainError, isUnavailable } from '../errors.ts';

const RETRY_AFTER_MS = 1_000;

/** Hands items to the work in batches, and answers each with its own result. */
export interface Batcher<Item, Result> {
  /** Throws RATE_LIMITED when too much waits already. */
  load(item: Item): Promise<Result>;
  /** Resolves when nothing waits or is under way. */
  idle(): Promise<void>;
}

export interface BatcherOptions<Item> {
  /** Items in a batch, at most. */
  readonly maxBatchSize: number;
  /** Batches under way at the same time, at most; one, unless given, and one of each key. */
  readonly concurrency?: number;
  /** How many more may be under way beside those that take longer than `patienceMs`. */
  readonly extraWhenSlow?: number;
  readonly slowAfterMs?: number;
  /** Items of one key keep their order: they are never in two batches at the same time. */
  readonly partitionBy?: (item: Item) => unknown;
  /** The weight of what may wait, that is not yet in a batch; without it, as much as there is. */
  readonly maxQueuedSize?: number;
  /** Each weighs 1, unless given. */
  readonly sizeOf?: (item: Item) => number;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly key: unknown;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Gathers items that come in the same turn of the event loop, or while the work on earlier ones is under way, so that
 * a thousand that come at once cost a few statements. One that comes alone waits for nothing. The work answers one
 * result for each item, in their order; when it throws, it does so for all of them, and when what it needs is away, for
 * all that wait too.
 */
export function createBatcher<Item, Result>(
  work: (items: readonly Item[]) => Promise<readonly Result[]>,
  options: BatcherOptions<Item>,
): Batcher<Item, Result> {
  const { maxBatchSize, concurrency = 1, extraWhenSlow = 0, slowAfterMs = Infinity } = options;
  const { partitionBy = () => undefined, maxQueuedSize = Infinity, sizeOf = () => 1 } = options;
  /** By key, the one that has waited longest first. */
  const waiting = new Map<unknown, Waiting<Item, Result>[]>();
  const busyKeys = new Set<unknown>();
  const underWay = new Set<Promise<void>>();
  let late = 0;
  let weight = 0;
  let soon: NodeJS.Immediate | undefined;

  const takeBatch = (): Waiting<Item, Result>[] => {
    const batch: Waiting<Item, Result>[] = [];
    for (const [key, ofKey] of waiting) {
      if (busyKeys.has(key)) continue;
      const left = ofKey.splice(maxBatchSize - batch.length);
      batch.push(...ofKey);
      busyKeys.add(key);
      waiting.delete(key);
      if (left.length > 0) waiting.set(key, left);
      if (batch.length === maxBatchSize) break;
    }
    for (const { item } of batch) weight -= sizeOf(item);
    return batch;
  };

  /** What has not begun would only learn the same, one batch after the other. */
  const refuseWaiting = (error: unknown): void => {
    for (const { item, reject } of [...waiting.values()].flat()) {
      weight -= sizeOf(item);
      reject(error);
    }
    waiting.clear();
  };

  const settle = async (batch: readonly Waiting<Item, Result>[]): Promise<void> => {
    try {
      const results = await work(batch.map(({ item }) => item));
      if (results.length !== batch.length) throw new Error('The work answered too few results');
      for (const [place, { resolve }] of batch.entries()) resolve(results[place] as Result);
    } catch (error) {
      for (const { reject } of batch) reject(error);
      if (isUnavailable(error)) refuseWaiting(error);
    }
    for (const { key } of batch) busyKeys.delete(key);
  };

  const run = async (batch: readonly Waiting<Item, Result>[]): Promise<void> => {
    if (extraWhenSlow === 0) return settle(batch);
    let isLate = false;
    const patience = setTimeout(() => {
      isLate = true;
      late += 1;
      begin();
    }, slowAfterMs);
    await settle(batch);
    clearTimeout(patience);
    if (isLate) late -= 1;
  };

  const begin = (): void => {
    soon = undefined;
    while (underWay.size < concurrency + Math.min(late, extraWhenSlow)) {
      const batch = takeBatch();
      if (batch.length === 0) return;
      const running = run(batch).then(() => {
        underWay.delete(running);
        begin();
      });
      underWay.add(running);
    }
  };

  return {
    async load(item) {
      if (weight + sizeOf(item) > maxQueuedSize)
        throw new DomainError('RATE_LIMITED', 'Too many ask for this at once. Try again later.', {
          retryAfterMs: RETRY_AFTER_MS,
        });
      weight += sizeOf(item);
      const key = partitionBy(item);
      const { promise, resolve, reject } = Promise.withResolvers<Result>();
      const ofKey = waiting.get(key);
      if (ofKey === undefined) waiting.set(key, [{ item, key, resolve, reject }]);
      else ofKey.push({ item, key, resolve, reject });
      soon ??= setImmediate(begin);
      return promise;
    },
    async idle() {
      begin();
      while (underWay.size > 0) await Promise.all(underWay);
    },
  };
}
