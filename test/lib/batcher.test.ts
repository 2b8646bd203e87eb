import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createBatcher } from '../../src/lib/batcher.ts';
import type { BatcherOptions } from '../../src/lib/batcher.ts';

interface Batch<Item> {
  readonly items: readonly Item[];
  finish(): void;
  fail(error: Error): void;
}

/** Creates a batcher whose batches stay in flight until the test completes them. `startedBatches` has them in order. */
function createManualBatcher<Item>(options: BatcherOptions<Item>) {
  const startedBatches: Batch<Item>[] = [];
  const batcher = createBatcher<Item, Item>((items) => {
    const { promise, resolve, reject } = Promise.withResolvers<readonly Item[]>();
    startedBatches.push({ items, finish: () => resolve(items), fail: reject });
    return promise;
  }, options);
  const nextBatch = async (): Promise<Batch<Item>> => {
    await expect.poll(() => startedBatches.length).toBeGreaterThan(0);
    return startedBatches.shift() as Batch<Item>;
  };
  return { batcher, startedBatches, nextBatch };
}

const tooManyItems = { code: 'RATE_LIMITED', details: { retryAfterMs: 1_000 } };

test('concurrent items form one batch, and each receives its own result', async () => {
  const { batcher, nextBatch } = createManualBatcher<number>({ maxBatchSize: 10 });
  const results = Promise.all([1, 2, 3].map((item) => batcher.submit(item)));
  const batch = await nextBatch();
  expect(batch.items).toEqual([1, 2, 3]);
  batch.finish();
  expect(await results).toEqual([1, 2, 3]);
});

test('items that arrive while a batch is in flight form the next one, up to the maximum size', async () => {
  const { batcher, startedBatches, nextBatch } = createManualBatcher<number>({ maxBatchSize: 2 });
  const first = batcher.submit(0);
  const batch = await nextBatch();
  const queued = [1, 2, 3].map((item) => batcher.submit(item));
  batch.finish();
  await first;
  const second = await nextBatch();
  expect(second.items).toEqual([1, 2]);
  expect(startedBatches).toEqual([]);
  second.finish();
  (await nextBatch()).finish();
  expect(await Promise.all(queued)).toEqual([1, 2, 3]);
});

test('a partition has one batch in flight, while other partitions proceed', async () => {
  const { batcher, startedBatches, nextBatch } = createManualBatcher<string>({
    maxBatchSize: 10,
    concurrency: 2,
    partitionBy: (item) => item[0],
  });
  const results = [batcher.submit('a1')];
  const first = await nextBatch();
  results.push(batcher.submit('a2'), batcher.submit('b1'), batcher.submit('a3'));
  const second = await nextBatch();
  expect(second.items).toEqual(['b1']);
  results.push(batcher.submit('c1'));
  second.finish();
  const third = await nextBatch();
  expect(third.items).toEqual(['c1']);
  third.finish();
  expect(startedBatches).toEqual([]);
  first.finish();
  const last = await nextBatch();
  expect(last.items).toEqual(['a2', 'a3']);
  last.finish();
  expect(await Promise.all(results)).toEqual(['a1', 'a2', 'b1', 'a3', 'c1']);
});

test('extra batches start beside slow ones, up to the limit', async () => {
  const options = { maxBatchSize: 1, extraWhenSlow: 1, slowAfterMs: 5, partitionBy: (item: number) => item };
  const { batcher, startedBatches, nextBatch } = createManualBatcher<number>(options);
  const results = [batcher.submit(1)];
  const first = await nextBatch();
  results.push(batcher.submit(2), batcher.submit(3));
  const second = await nextBatch();
  expect(second.items).toEqual([2]);
  first.finish();
  await results[0];
  second.finish();
  const third = await nextBatch();
  expect(third.items).toEqual([3]);
  expect(startedBatches).toEqual([]);
  third.finish();
  expect(await Promise.all(results)).toEqual([1, 2, 3]);
});

test('a batch beside another one waits until it has as many items, of those that can start', async () => {
  const { batcher, startedBatches, nextBatch } = createManualBatcher<string>({
    maxBatchSize: 10,
    concurrency: 2,
    fillMs: 1_000_000,
    partitionBy: (item) => item[0],
  });
  const results = [batcher.submit('a1'), batcher.submit('b1')];
  const first = await nextBatch();
  results.push(batcher.submit('c1'), batcher.submit('a2'));
  // Batches start in a phase of the event loop that is over when the next one begins.
  await setImmediate();
  await setImmediate();
  expect(startedBatches).toEqual([]);
  results.push(batcher.submit('d1'));
  const second = await nextBatch();
  expect(second.items).toEqual(['c1', 'd1']);
  first.finish();
  second.finish();
  (await nextBatch()).finish();
  expect(await Promise.all(results)).toEqual(['a1', 'b1', 'c1', 'a2', 'd1']);
});

test('a batch waits for the completion of another one, and not for longer than the fill time', async () => {
  for (const fillMs of [1_000_000, 5]) {
    const options = { maxBatchSize: 10, concurrency: 2, fillMs, partitionBy: (item: number) => item };
    const { batcher, nextBatch } = createManualBatcher<number>(options);
    const results = [batcher.submit(1), batcher.submit(2)];
    const first = await nextBatch();
    results.push(batcher.submit(3));
    if (fillMs > 5) first.finish();
    const second = await nextBatch();
    expect(second.items).toEqual([3]);
    first.finish();
    second.finish();
    expect(await Promise.all(results)).toEqual([1, 2, 3]);
  }
});

test('a large partition does not starve the others', async () => {
  const { batcher, nextBatch } = createManualBatcher<string>({
    maxBatchSize: 2,
    partitionBy: (item) => item[0],
  });
  const results = ['a1', 'a2', 'a3', 'b1'].map((item) => batcher.submit(item));
  for (const expected of [
    ['a1', 'a2'],
    ['b1', 'a3'],
  ]) {
    const batch = await nextBatch();
    expect(batch.items).toEqual(expected);
    batch.finish();
  }
  await Promise.all(results);
});

test('an error rejects the items of its batch only', async () => {
  const { batcher, nextBatch } = createManualBatcher<number>({ maxBatchSize: 10 });
  const first = Promise.allSettled([batcher.submit(1)]);
  const batch = await nextBatch();
  const second = batcher.submit(2);
  batch.fail(new Error('unavailable'));
  expect(await first).toMatchObject([{ status: 'rejected', reason: { message: 'unavailable' } }]);
  (await nextBatch()).finish();
  expect(await second).toBe(2);
});

test('an outage rejects all queued items immediately, and later items are tried', async () => {
  const { batcher, startedBatches, nextBatch } = createManualBatcher<number>({
    maxBatchSize: 1,
    maxQueuedSize: 2,
  });
  const results = Promise.allSettled([batcher.submit(1), batcher.submit(2)]);
  const batch = await nextBatch();
  const laterResult = Promise.allSettled([batcher.submit(3)]);
  batch.fail(Object.assign(new Error('unavailable'), { code: 'ECONNREFUSED' }));
  const rejection = { status: 'rejected', reason: { message: 'unavailable' } };
  expect(await results).toMatchObject([rejection, rejection]);
  expect(await laterResult).toMatchObject([rejection]);
  expect(startedBatches).toEqual([]);
  const laterItems = [batcher.submit(4), batcher.submit(5)];
  (await nextBatch()).finish();
  (await nextBatch()).finish();
  expect(await Promise.all(laterItems)).toEqual([4, 5]);
});

test('a transaction that was aborted because of a conflict rejects its batch only', async () => {
  const { batcher, nextBatch } = createManualBatcher<number>({ maxBatchSize: 1 });
  const first = Promise.allSettled([batcher.submit(1)]);
  const batch = await nextBatch();
  const second = batcher.submit(2);
  batch.fail(Object.assign(new Error('deadlock detected'), { code: '40P01' }));
  expect(await first).toMatchObject([{ status: 'rejected' }]);
  (await nextBatch()).finish();
  expect(await second).toBe(2);
});

test('items beyond the maximum queue size are rejected, until the queue has room again', async () => {
  const { batcher, nextBatch } = createManualBatcher<number>({
    maxBatchSize: 2,
    maxQueuedSize: 10,
    sizeOf: (item) => item,
  });
  const first = batcher.submit(3);
  const batch = await nextBatch();
  const queued = [batcher.submit(4), batcher.submit(6)];
  await expect(batcher.submit(1)).rejects.toMatchObject(tooManyItems);
  batch.finish();
  const second = await nextBatch();
  const later = batcher.submit(10);
  second.finish();
  (await nextBatch()).finish();
  expect(await Promise.all([first, ...queued, later])).toEqual([3, 4, 6, 10]);
});

test('a batcher is idle when no item is queued or in flight', async () => {
  const { batcher, nextBatch } = createManualBatcher<number>({ maxBatchSize: 1 });
  const [first] = [batcher.submit(1), batcher.submit(2)];
  let isIdle = false;
  const idle = batcher.idle().then(() => (isIdle = true));
  (await nextBatch()).finish();
  await first;
  const last = await nextBatch();
  expect(isIdle).toBe(false);
  last.finish();
  await idle;
  await batcher.idle();
});
