import { expect, test } from 'vitest';
import { judgeCount, judgeRatio } from '../../bench/verdict.ts';
import type { Recorded } from '../../bench/verdict.ts';

const recorded: Recorded = {
  machine: 'this machine',
  ratios: { delivery: 1 },
  counts: { turns: 2, bytes: 1_000 },
};
const quiet = [0.99, 1.01, 1];
const judge = (ratios: readonly number[], noise: readonly number[], machine = 'this machine') =>
  judgeRatio({ name: 'delivery', ratios, noise }, recorded, machine).passes;

test('a ratio fails when it is worse than recorded by more than the noise of the run', () => {
  expect(judge([1.05, 1.02, 1.08], quiet)).toBe(true);
  expect(judge([1.2, 1.25, 1.3], quiet)).toBe(false);
  expect(judge([0.5, 0.6, 0.4], quiet)).toBe(true);
});

test('a noisy run tolerates as much as its peer differs from itself, in either direction', () => {
  expect(judge([1.2, 1.25, 1.3], [1, 1.3, 0.95])).toBe(true);
  expect(judge([1.2, 1.25, 1.3], [1, 0.77, 1.05])).toBe(true);
  expect(judge([1.6, 1.7, 1.65], [1, 1.3, 0.95])).toBe(false);
});

test('a ratio that was recorded on another machine has a wider limit', () => {
  expect(judge([1.2, 1.25, 1.3], quiet, 'another machine')).toBe(true);
  expect(judge([1.5, 1.55, 1.6], quiet, 'another machine')).toBe(false);
});

test('a count fails when it exceeds the recorded one by more than its margin', () => {
  const judgeTurns = (value: number) => judgeCount({ name: 'turns', value, margin: 0 }, recorded).passes;
  expect([judgeTurns(1), judgeTurns(2), judgeTurns(3)]).toEqual([true, true, false]);
  const judgeBytes = (value: number) => judgeCount({ name: 'bytes', value, margin: 0.1 }, recorded).passes;
  expect([judgeBytes(1_090), judgeBytes(1_110)]).toEqual([true, false]);
});

test('a figure that is not recorded fails, and says so', () => {
  expect(judgeCount({ name: 'new', value: 1, margin: 0 }, recorded)).toEqual({
    passes: false,
    text: 'new: 1; nothing is recorded',
  });
  const { passes, text } = judgeRatio({ name: 'new', ratios: [1], noise: [1] }, recorded, 'this machine');
  expect(passes).toBe(false);
  expect(text).toContain('nothing is recorded');
});
