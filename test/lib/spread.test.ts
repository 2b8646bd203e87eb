import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { interleave, spreadOver } from '../../src/lib/spread.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

/** Returns functions that record the times at which they are called. */
function createCalls(count: number) {
  const startedAt = performance.now();
  const times: number[] = [];
  return {
    times,
    calls: Array.from({ length: count }, () => () => times.push(performance.now() - startedAt)),
  };
}

/** Returns the most calls within any period of this length. */
const countMost = (times: readonly number[], periodMs: number): number =>
  Math.max(...times.map((from) => times.filter((time) => time >= from && time < from + periodMs).length));

test.for([
  [10, 1_000],
  [5_000, 10_000],
  [3, 60_000],
] as const)('%i calls are spread evenly over %i ms', async ([count, ms]) => {
  const { times, calls } = createCalls(count);
  const done = spreadOver(ms, calls);
  await vi.advanceTimersByTimeAsync(ms);
  await done;
  expect(times).toHaveLength(count);
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  const periodMs = ms / 10;
  expect(countMost(times, periodMs)).toBeLessThanOrEqual(Math.ceil(count / 10) * 1.1 + 1);
});

test('without a time, all calls are made immediately', async () => {
  const { times, calls } = createCalls(1_000);
  await spreadOver(0, calls);
  expect(times).toEqual(calls.map(() => 0));
});

test('after a delay of the event loop, the calls that are left share the time that is left', async () => {
  const { times, calls } = createCalls(1_000);
  const blocking = calls.map((call) => () => {
    call();
    if (times.length === 100) vi.advanceTimersByTime(5_000);
  });
  const done = spreadOver(10_000, blocking);
  await vi.advanceTimersByTimeAsync(10_000);
  await done;
  expect(times).toHaveLength(1_000);
  // 900 in the four seconds that are left, rather than 500 together.
  expect(countMost(times, 500)).toBeLessThan(200);
});

test('each list is distributed evenly over the merged one, in its order', () => {
  const merged = interleave([['a1', 'a2', 'a3', 'a4'], ['b1', 'b2'], []]);
  expect(merged).toEqual(['a1', 'b1', 'a2', 'a3', 'b2', 'a4']);
});
