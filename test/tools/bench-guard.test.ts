import { expect, test } from 'vitest';
import { decideRatio, judgeCount, judgeRatio } from '../../bench/verdict.ts';
import type { MeasureRatio, Recorded } from '../../bench/verdict.ts';
import { createRandom } from '../harness/random.ts';

const recorded: Recorded = {
  machine: 'this machine',
  ratios: { delivery: 2 },
  counts: { turns: 2, bytes: 1_000 },
};
const repeat = (count: number, value: number): number[] => Array.from({ length: count }, () => value);
const judge = (ratios: readonly number[], noise: readonly number[] = [1], machine = 'this machine') => {
  const { passes, isClear } = judgeRatio(
    { name: 'delivery', margin: 0.2, ratios, noise, busyRounds: 0 },
    recorded,
    machine,
  );
  return isClear ? (passes ? 'passes' : 'fails') : 'unclear';
};

interface Rounds {
  /** How much worse than recorded. */
  readonly factor: number;
  /** Standard deviation of the logarithm of a single measurement. */
  readonly noise: number;
  /** Share of the measurements that take ten times as long. */
  readonly interrupted?: number;
}

/** Makes up rounds as the guard measures them: the peer twice, and Parley compared with its mean. */
function simulate(seed: number, { factor, noise, interrupted = 0 }: Rounds): MeasureRatio {
  const below = createRandom(Math.imul(seed, 0x9e37_79b1));
  const random = (): number => below(2 ** 24) / 2 ** 24;
  const measure = (): number => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return Math.exp(noise * normal) * (random() < interrupted ? 10 : 1);
  };
  const [ratios, noises]: [number[], number[]] = [[], []];
  return (rounds) => {
    for (let round = 0; round < rounds; round += 1) {
      const [first, second] = [measure(), measure()];
      ratios.push((2 * factor * measure()) / ((first + second) / 2));
      noises.push(second / first);
    }
    return Promise.resolve({ name: 'delivery', margin: 0.2, ratios, noise: noises, busyRounds: 0 });
  };
}

async function countFailures(rounds: Rounds): Promise<number> {
  let failures = 0;
  for (let seed = 1; seed <= 1_000; seed += 1) {
    const { passes } = await decideRatio(simulate(seed, rounds), recorded, 'this machine');
    if (!passes) failures += 1;
  }
  return failures;
}

test('an unchanged ratio passes, however noisy the machine is', async () => {
  expect(await countFailures({ factor: 1, noise: 0.5 })).toBeLessThanOrEqual(1);
  expect(await countFailures({ factor: 1, noise: 0.1, interrupted: 0.3 })).toBeLessThanOrEqual(1);
  expect(await countFailures({ factor: 1.1, noise: 0.1 })).toBeLessThanOrEqual(1);
});

test('a ratio that is worse by twice its margin fails at the usual noise', async () => {
  expect(await countFailures({ factor: 1.4, noise: 0.05 })).toBeGreaterThanOrEqual(990);
  expect(await countFailures({ factor: 1.4, noise: 0.08 })).toBeGreaterThanOrEqual(950);
});

test('a ratio fails when chance does not explain how many rounds are above its limit', () => {
  expect(judge(repeat(5, 2.3))).toBe('passes');
  expect(judge(repeat(9, 2.5))).toBe('unclear');
  expect(judge(repeat(10, 2.5))).toBe('fails');
  expect(judge([...repeat(10, 2.5), ...repeat(3, 2)])).toBe('unclear');
  expect(judge([...repeat(20, 2.5), ...repeat(3, 2)])).toBe('fails');
});

test('a ratio may be worse by as much as the peer differs from itself, in either direction', () => {
  for (const noise of [0.8, 1.25]) {
    expect(judge(repeat(10, 2.9), [noise])).toBe('unclear');
    expect(judge(repeat(10, 3.1), [noise])).toBe('fails');
  }
  expect(judge(repeat(10, 2.5), [1, 1, 4])).toBe('fails');
});

test('a ratio that was recorded on another machine has a wider limit', () => {
  expect(judge(repeat(10, 2.8), [1], 'another machine')).toBe('passes');
  expect(judge(repeat(10, 3), [1], 'another machine')).toBe('fails');
});

test('a count fails when it exceeds the recorded one by more than its margin, and when nothing was counted', () => {
  const judgeTurns = (value: number) => judgeCount({ name: 'turns', value, margin: 0 }, recorded).passes;
  expect([judgeTurns(1), judgeTurns(2), judgeTurns(3)]).toEqual([true, true, false]);
  expect([judgeTurns(0), judgeTurns(-6), judgeTurns(NaN)]).toEqual([false, false, false]);
  const judgeBytes = (value: number) => judgeCount({ name: 'bytes', value, margin: 0.1 }, recorded).passes;
  expect([judgeBytes(1_090), judgeBytes(1_110)]).toEqual([true, false]);
});

test('a machine that other programs keep busy is not compared', async () => {
  let rounds = 0;
  const measure: MeasureRatio = (count) => {
    rounds += count;
    return Promise.resolve({
      name: 'delivery',
      margin: 0.2,
      ratios: repeat(4, 9),
      noise: repeat(4, 1),
      busyRounds: rounds - 4,
    });
  };
  expect(await decideRatio(measure, recorded, 'this machine')).toEqual({
    passes: true,
    isClear: false,
    text: 'delivery: not compared, as other programs used the machine in 5 of 9 rounds',
  });
});

test('rounds without a ratio are an error', () => {
  expect(() => judge(repeat(5, -0.1))).toThrow('the rounds have no ratio');
  expect(() => judge(repeat(5, 2), [])).toThrow('the rounds have no ratio');
});

test('a figure that is not recorded fails, and says so', () => {
  expect(judgeCount({ name: 'new', value: 1, margin: 0 }, recorded)).toEqual({
    passes: false,
    text: 'new: 1; nothing is recorded',
  });
  const unknown = { name: 'new', margin: 0.2, ratios: [], noise: [], busyRounds: 5 };
  expect(judgeRatio(unknown, recorded, 'this machine')).toEqual({
    passes: false,
    isClear: true,
    text: 'new: nothing is recorded',
  });
});
