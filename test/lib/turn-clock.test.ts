import { expect, test } from 'vitest';
import { TurnClock } from '../../src/lib/turn-clock.ts';

/** Occupies the event loop for a while. */
function work(ms: number): void {
  const endsAt = performance.now() + ms;
  while (performance.now() < endsAt);
}

/** Runs items of 2 ms each, in turns of the clock, and calls back after each. */
async function runItems(
  clock: TurnClock,
  count: number,
  account: string | undefined,
  onItem: () => void,
): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    if (clock.isOver()) await clock.nextTurn(account);
    work(2);
    onItem();
    await Promise.resolve();
  }
}

test('loops leave turns of the event loop to others, and take turns among themselves', async () => {
  const clock = new TurnClock();
  const order: number[] = [];
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 0);
  await Promise.all([0, 1, 2].map((loop) => runItems(clock, 20, undefined, () => order.push(loop))));
  clearInterval(timer);
  expect(turns).toBeGreaterThan(5);
  // No loop is far ahead of another.
  for (let length = 1; length <= order.length; length += 1) {
    const counts = [0, 1, 2].map((loop) => order.slice(0, length).filter((entry) => entry === loop).length);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThan(10);
  }
});

test('a loop of an account does not wait for the loops of anonymous clients', async () => {
  const clock = new TurnClock();
  const finished: string[] = [];
  const loops = Array.from({ length: 20 }, () =>
    runItems(clock, 5, undefined, () => undefined).then(() => finished.push('anonymous')),
  );
  loops.push(runItems(clock, 5, 'user:1', () => undefined).then(() => finished.push('account')));
  await Promise.all(loops);
  expect(finished[0]).toBe('account');
});

test('a client that waits for one item is not delayed by the long queues of others', async () => {
  const clock = new TurnClock();
  let handled = 0;
  /** Items of 0.1 ms: with the whole time of a turn, a loop would handle about 50 of them in each. */
  const longLoops = Array.from({ length: 20 }, async () => {
    for (let index = 0; index < 200; index += 1) {
      if (clock.isOver()) await clock.nextTurn(undefined);
      work(0.1);
      handled += 1;
    }
  });
  while (!clock.isOver());
  await clock.nextTurn(undefined);
  expect(handled).toBeLessThan(1_000);
  await Promise.all(longLoops);
});

test('an account that has used little does not wait for all loops of one that has used much', async () => {
  const clock = new TurnClock();
  let handled = 0;
  const loops = Array.from({ length: 40 }, () => runItems(clock, 10, 'user:1', () => (handled += 1)));
  while (handled < 100) await new Promise((resolve) => setImmediate(resolve));
  const before = handled;
  while (!clock.isOver()) await clock.nextTurn('user:1');
  await clock.nextTurn('user:2');
  expect(handled - before).toBeLessThan(20);
  await Promise.all(loops);
});

test('loops leave time to turns in which connections are accepted, and continue', async () => {
  const clock = new TurnClock();
  let [handled, turns, isDone] = [0, 0, false];
  const accept = (): void => {
    turns += 1;
    clock.connectionAccepted();
    if (!isDone) setImmediate(accept);
  };
  accept();
  await runItems(clock, 40, undefined, () => (handled += 1));
  isDone = true;
  expect(handled).toBe(40);
  // Items of 2 ms fill slices of 5 ms. Turns without any pass meanwhile, for as long as four slices, in between.
  expect(turns).toBeGreaterThan(50);
});

test('a loop without contention never waits', async () => {
  const clock = new TurnClock();
  expect([clock.isOver(), clock.isOver()]).toEqual([false, false]);
});
