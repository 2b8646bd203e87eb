import { expect, test, vi } from 'vitest';
import { NewestFirst } from '../../src/lib/newest-first.ts';
import { BusyClock } from '../harness/busy-clock.ts';

interface Item {
  readonly id: number;
  isStale: boolean;
}

function startList() {
  const clock = new BusyClock(true);
  const handled: number[] = [];
  const checked = new Set<number>();
  const list = new NewestFirst<Item>(
    clock,
    undefined,
    ({ id, isStale }) => {
      checked.add(id);
      return isStale;
    },
    ({ id }) => handled.push(id),
  );
  return { list, handled, checked, clock };
}

const itemsFrom = (first: number, count: number, isStale = false): Item[] =>
  Array.from({ length: count }, (_, index) => ({ id: first + index, isStale }));

test('items are handled once, the newest first, unless they are stale', async () => {
  const { list, handled, clock } = startList();
  for (let id = 0; id < 5; id += 1) list.add({ id, isStale: id === 2 });
  const empty = list.whenEmpty();
  clock.setBusy(false);
  await empty;
  expect(handled).toEqual([4, 3, 1, 0]);
  await list.whenEmpty();
});

test('many waiting items have a larger share of the turns', () => {
  const { list, clock } = startList();
  for (const item of itemsFrom(0, 64)) list.add(item);
  expect(clock.waitingCount).toBe(1);
  for (const item of itemsFrom(64, 192)) list.add(item);
  expect(clock.waitingCount).toBe(4);
});

test('stale items are removed while others wait', () => {
  const { list, checked } = startList();
  for (const item of itemsFrom(0, 1_024, true)) list.add(item);
  expect(checked.size).toBe(0);
  list.add({ id: 1_024, isStale: false });
  expect(checked.size).toBe(1_025);
  checked.clear();
  for (const item of itemsFrom(2_000, 1_024)) list.add(item);
  expect(Math.min(...checked)).toBe(1_024);
});

test('items that have waited for too long can be taken', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  try {
    const { list, handled, clock } = startList();
    for (const item of itemsFrom(0, 2)) list.add(item);
    vi.advanceTimersByTime(1_000);
    list.add({ id: 2, isStale: false });
    expect(list.takeOlderThan(999).map(({ id }) => id)).toEqual([0, 1]);
    expect(list.takeOlderThan(999)).toEqual([]);
    const empty = list.whenEmpty();
    clock.setBusy(false);
    await empty;
    expect(handled).toEqual([2]);
  } finally {
    vi.useRealTimers();
  }
});
