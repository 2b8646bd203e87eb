import { expect, test } from 'vitest';
import { NewestFirst } from '../../src/lib/newest-first.ts';
import { TurnClock } from '../../src/lib/turn-clock.ts';

interface Item {
  readonly id: number;
  isStale: boolean;
}

/** Starts with a turn that is over, so that items wait. */
function startList() {
  const turnClock = new TurnClock();
  while (!turnClock.isOver());
  const handled: number[] = [];
  const checked = new Set<number>();
  const list = new NewestFirst<Item>(
    turnClock,
    'anonymous',
    ({ id, isStale }) => {
      checked.add(id);
      return isStale;
    },
    ({ id }) => handled.push(id),
  );
  return { list, handled, checked, turnClock };
}

test('items are handled once, the newest first, unless they are stale', async () => {
  const { list, handled, turnClock } = startList();
  for (let id = 0; id < 5; id += 1) list.add({ id, isStale: id === 2 });
  await turnClock.nextTurn('anonymous');
  expect(handled).toEqual([4, 3, 1, 0]);
});

test('stale items are removed while others wait', () => {
  const { list, checked } = startList();
  const items = Array.from({ length: 1_024 }, (_, id) => ({ id, isStale: true }));
  for (const item of items) list.add(item);
  expect(checked.size).toBe(0);
  list.add({ id: items.length, isStale: false });
  expect(checked.size).toBe(1_025);
  checked.clear();
  // All before are gone.
  for (let id = 0; id < 1_024; id += 1) list.add({ id: 2_000 + id, isStale: false });
  expect(Math.min(...checked)).toBe(1_024);
});
