import { expect, test } from 'vitest';
import { createGatherer } from '../../src/domain/gatherer.ts';
import type { GathererOptions } from '../../src/domain/gatherer.ts';

interface Held<Item> {
  readonly items: readonly Item[];
  finish(): void;
  fail(error: Error): void;
}

/** A gatherer whose batches wait to be finished, in the order in which they began. */
function held<Item>(options: GathererOptions<Item>) {
  const begun: Held<Item>[] = [];
  const gatherer = createGatherer<Item, Item>((items) => {
    const { promise, resolve, reject } = Promise.withResolvers<readonly Item[]>();
    begun.push({ items, finish: () => resolve(items), fail: reject });
    return promise;
  }, options);
  const next = async (): Promise<Held<Item>> => {
    await expect.poll(() => begun.length).toBeGreaterThan(0);
    return begun.shift() as Held<Item>;
  };
  return { gatherer, begun, next };
}

const refusedAsTooMany = { code: 'RATE_LIMITED', details: { retryAfterMs: 1_000 } };

test('what comes at once is one batch, and each gets its own result', async () => {
  const { gatherer, next } = held<number>({ max: 10 });
  const results = Promise.all([1, 2, 3].map((item) => gatherer.add(item)));
  const batch = await next();
  expect(batch.items).toEqual([1, 2, 3]);
  batch.finish();
  expect(await results).toEqual([1, 2, 3]);
});

test('what comes while a batch is under way is the next one, up to its size', async () => {
  const { gatherer, begun, next } = held<number>({ max: 2 });
  const first = gatherer.add(0);
  const batch = await next();
  const others = [1, 2, 3].map((item) => gatherer.add(item));
  batch.finish();
  await first;
  const second = await next();
  expect(second.items).toEqual([1, 2]);
  expect(begun).toEqual([]);
  second.finish();
  (await next()).finish();
  expect(await Promise.all(others)).toEqual([1, 2, 3]);
});

test('of a key one batch is under way, while others pass', async () => {
  const { gatherer, begun, next } = held<string>({ max: 10, atOnce: 2, keyOf: (item) => item[0] });
  const all = [gatherer.add('a1')];
  const first = await next();
  all.push(gatherer.add('a2'), gatherer.add('b1'), gatherer.add('a3'));
  const second = await next();
  expect(second.items).toEqual(['b1']);
  all.push(gatherer.add('c1'));
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

test('beside a batch that takes long another begins, as far as there are spare ones', async () => {
  const options = { max: 1, spare: 1, patienceMs: 5, keyOf: (item: number) => item };
  const { gatherer, begun, next } = held<number>(options);
  const all = [gatherer.add(1)];
  const first = await next();
  all.push(gatherer.add(2), gatherer.add(3));
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

test('a key of which there is much lets others have their turn', async () => {
  const { gatherer, next } = held<string>({ max: 2, keyOf: (item) => item[0] });
  const all = ['a1', 'a2', 'a3', 'b1'].map((item) => gatherer.add(item));
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

test('what fails fails for its batch alone', async () => {
  const { gatherer, next } = held<number>({ max: 10 });
  const first = Promise.allSettled([gatherer.add(1)]);
  const batch = await next();
  const second = gatherer.add(2);
  batch.fail(new Error('away'));
  expect(await first).toMatchObject([{ status: 'rejected', reason: { message: 'away' } }]);
  (await next()).finish();
  expect(await second).toBe(2);
});

test('when what the work needs is away, what waits hears it at once, and what comes later is tried', async () => {
  const { gatherer, begun, next } = held<number>({ max: 1, maxWaiting: 2 });
  const all = Promise.allSettled([gatherer.add(1), gatherer.add(2)]);
  const batch = await next();
  const later = Promise.allSettled([gatherer.add(3)]);
  batch.fail(Object.assign(new Error('away'), { code: 'ECONNREFUSED' }));
  const refused = { status: 'rejected', reason: { message: 'away' } };
  expect(await all).toMatchObject([refused, refused]);
  expect(await later).toMatchObject([refused]);
  expect(begun).toEqual([]);
  const again = [gatherer.add(4), gatherer.add(5)];
  (await next()).finish();
  (await next()).finish();
  expect(await Promise.all(again)).toEqual([4, 5]);
});

test('a transaction that was given up for another one concerns its batch alone', async () => {
  const { gatherer, next } = held<number>({ max: 1 });
  const first = Promise.allSettled([gatherer.add(1)]);
  const batch = await next();
  const second = gatherer.add(2);
  batch.fail(Object.assign(new Error('deadlock detected'), { code: '40P01' }));
  expect(await first).toMatchObject([{ status: 'rejected' }]);
  (await next()).finish();
  expect(await second).toBe(2);
});

test('more than may wait is refused, and there is room again when some has gone', async () => {
  const { gatherer, next } = held<number>({ max: 2, maxWaiting: 10, weigh: (item) => item });
  const first = gatherer.add(3);
  const batch = await next();
  const others = [gatherer.add(4), gatherer.add(6)];
  await expect(gatherer.add(1)).rejects.toMatchObject(refusedAsTooMany);
  batch.finish();
  const second = await next();
  const later = gatherer.add(10);
  second.finish();
  (await next()).finish();
  expect(await Promise.all([first, ...others, later])).toEqual([3, 4, 6, 10]);
});

test('it is idle when nothing waits or is under way', async () => {
  const { gatherer, next } = held<number>({ max: 1 });
  const [first] = [gatherer.add(1), gatherer.add(2)];
  let isIdle = false;
  const idle = gatherer.idle().then(() => (isIdle = true));
  (await next()).finish();
  await first;
  const last = await next();
  expect(isIdle).toBe(false);
  last.finish();
  await idle;
  await gatherer.idle();
});
