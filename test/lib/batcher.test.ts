import { expect, test } from 'vitest';
import { createBatcher } from '../../src/lib/batcher.ts';
import type { BatcherOptions } from '../../src/lib/batcher.ts';

interface Held<Item> {
  readonly items: readonly Item[];
  finish(): void;
  fail(error: Error): void;
}

/** Creates a batcher whose batches stay in flight until the test completes them, in the order in which they started. */
function held<Item>(options: BatcherOptions<Item>) {
  const begun: Held<Item>[] = [];
  const batcher = createBatcher<Item, Item>((items) => {
    const { promise, resolve, reject } = Promise.withResolvers<readonly Item[]>();
    begun.push({ items, finish: () => resolve(items), fail: reject });
    return promise;
  }, options);
  const next = async (): Promise<Held<Item>> => {
    await expect.poll(() => begun.length).toBeGreaterThan(0);
    return begun.shift() as Held<Item>;
  };
  return { batcher, begun, next };
}

const refusedAsTooMany = { code: 'RATE_LIMITED', details: { retryAfterMs: 1_000 } };

test('concurrent items form one batch, and each receives its own result', async () => {
  const { batcher, next } = held<number>({ maxBatchSize: 10 });
  const results = Promise.all([1, 2, 3].map((item) => batcher.load(item)));
  const batch = await next();
  expect(batch.items).toEqual([1, 2, 3]);
  batch.finish();
  expect(await results).toEqual([1, 2, 3]);
});

test('items that arrive while a batch is in flight form the next one, up to the maximum size', async () => {
  const { batcher, begun, next } = held<number>({ maxBatchSize: 2 });
  const first = batcher.load(0);
  const batch = await next();
  const others = [1, 2, 3].map((item) => batcher.load(item));
  batch.finish();
  await first;
  const second = await next();
  expect(second.items).toEqual([1, 2]);
  expect(begun).toEqual([]);
  second.finish();
  (await next()).finish();
  expect(await Promise.all(others)).toEqual([1, 2, 3]);
});

test('a partition has one batch in flight, while other partitions proceed', async () => {
  const { batcher, begun, next } = held<string>({
    maxBatchSize: 10,
    concurrency: 2,
    partitionBy: (item) => item[0],
  });
  const all = [batcher.load('a1')];
  const first = await next();
  all.push(batcher.load('a2'), batcher.load('b1'), batcher.load('a3'));
  const second = await next();
  expect(second.items).toEqual(['b1']);
  all.push(batcher.load('c1'));
  second.finish();
  const third = await next();
  expect(third.items).toEqual(['c1']);
  third.finish();
  expect(begun).toEqual([]);
  first.finish();
  const last = await next();
  expect(last.items).toEqual(['a2', 'a3']);
  last.finish();
  expect(await Promise.all(all)).toEqual(['a1', 'a2', 'b1', 'a3', 'c1']);
});

test('extra batches start beside slow ones, up to the limit', async () => {
  const options = { maxBatchSize: 1, extraWhenSlow: 1, slowAfterMs: 5, partitionBy: (item: number) => item };
  const { batcher, begun, next } = held<number>(options);
  const all = [batcher.load(1)];
  const first = await next();
  all.push(batcher.load(2), batcher.load(3));
  const second = await next();
  expect(second.items).toEqual([2]);
  first.finish();
  await all[0];
  second.finish();
  const third = await next();
  expect(third.items).toEqual([3]);
  expect(begun).toEqual([]);
  third.finish();
  expect(await Promise.all(all)).toEqual([1, 2, 3]);
});

test('a large partition does not starve the others', async () => {
  const { batcher, next } = held<string>({ maxBatchSize: 2, partitionBy: (item) => item[0] });
  const all = ['a1', 'a2', 'a3', 'b1'].map((item) => batcher.load(item));
  for (const expected of [
    ['a1', 'a2'],
    ['b1', 'a3'],
  ]) {
    const batch = await next();
    expect(batch.items).toEqual(expected);
    batch.finish();
  }
  await Promise.all(all);
});

test('an error rejects the items of its batch only', async () => {
  const { batcher, next } = held<number>({ maxBatchSize: 10 });
  const first = Promise.allSettled([batcher.load(1)]);
  const batch = await next();
  const second = batcher.load(2);
  batch.fail(new Error('away'));
  expect(await first).toMatchObject([{ status: 'rejected', reason: { message: 'away' } }]);
  (await next()).finish();
  expect(await second).toBe(2);
});

test('an outage rejects all queued items immediately, and later items are tried', async () => {
  const { batcher, begun, next } = held<number>({ maxBatchSize: 1, maxQueuedSize: 2 });
  const all = Promise.allSettled([batcher.load(1), batcher.load(2)]);
  const batch = await next();
  const later = Promise.allSettled([batcher.load(3)]);
  batch.fail(Object.assign(new Error('away'), { code: 'ECONNREFUSED' }));
  const refused = { status: 'rejected', reason: { message: 'away' } };
  expect(await all).toMatchObject([refused, refused]);
  expect(await later).toMatchObject([refused]);
  expect(begun).toEqual([]);
  const again = [batcher.load(4), batcher.load(5)];
  (await next()).finish();
  (await next()).finish();
  expect(await Promise.all(again)).toEqual([4, 5]);
});

test('a transaction that was aborted because of a conflict rejects its batch only', async () => {
  const { batcher, next } = held<number>({ maxBatchSize: 1 });
  const first = Promise.allSettled([batcher.load(1)]);
  const batch = await next();
  const second = batcher.load(2);
  batch.fail(Object.assign(new Error('deadlock detected'), { code: '40P01' }));
  expect(await first).toMatchObject([{ status: 'rejected' }]);
  (await next()).finish();
  expect(await second).toBe(2);
});

test('items beyond the maximum queue size are rejected, until the queue has room again', async () => {
  const { batcher, next } = held<number>({ maxBatchSize: 2, maxQueuedSize: 10, sizeOf: (item) => item });
  const first = batcher.load(3);
  const batch = await next();
  const others = [batcher.load(4), batcher.load(6)];
  await expect(batcher.load(1)).rejects.toMatchObject(refusedAsTooMany);
  batch.finish();
  const second = await next();
  const later = batcher.load(10);
  second.finish();
  (await next()).finish();
  expect(await Promise.all([first, ...others, later])).toEqual([3, 4, 6, 10]);
});

test('it is idle when no item is queued or in flight', async () => {
  const { batcher, next } = held<number>({ maxBatchSize: 1 });
  const [first] = [batcher.load(1), batcher.load(2)];
  let isIdle = false;
  const idle = batcher.idle().then(() => (isIdle = true));
  (await next()).finish();
  await first;
  const last = await next();
  expect(isIdle).toBe(false);
  last.finish();
  await idle;
  await batcher.idle();
});
