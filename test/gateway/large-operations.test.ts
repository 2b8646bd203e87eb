import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { payerOf } from '../../src/actor.ts';
import { LargeOperations } from '../../src/gateway/execution/large-operations.ts';
import { createOperationGate } from '../../src/gateway/execution/operation-gate.ts';
import { TurnClock } from '../../src/lib/turn-clock.ts';
import { createOperationLimits } from '../../src/services/operation-limits.ts';

afterEach(() => vi.useRealTimers());

/** Runs large operations that end when the test says so, and records which have started. */
function createRuns() {
  const operations = new LargeOperations();
  const started: string[] = [];
  const ends = new Map<string, (error?: Error) => void>();
  return {
    started,
    run: (name: string, payer = name) =>
      operations.run(payer, () => {
        started.push(name);
        return new Promise<string>((resolve, reject) =>
          ends.set(name, (error) => (error === undefined ? resolve(name) : reject(error))),
        );
      }),
    /** Ends an operation, and waits until others may have started. */
    async end(name: string, error?: Error) {
      ends.get(name)?.(error);
      await nextTurn();
      await nextTurn();
    },
  };
}

test('large operations run one at a time', async () => {
  const { started, run, end } = createRuns();
  const results = [run('first'), run('second'), run('third')];
  await nextTurn();
  expect(started).toEqual(['first']);
  await end('first');
  expect(started).toEqual(['first', 'second']);
  await end('second');
  await end('third');
  expect(await Promise.all(results)).toEqual(['first', 'second', 'third']);
});

test('a large operation that fails makes room for the next', async () => {
  const { started, run, end } = createRuns();
  const failed = run('first');
  const second = run('second');
  await nextTurn();
  const failure = failed.catch((error: Error) => error.message);
  await end('first', new Error('failed'));
  expect(await failure).toBe('failed');
  expect(started).toEqual(['first', 'second']);
  await end('second');
  await second;
});

test('there is a turn of the event loop between two large operations', async () => {
  const operations = new LargeOperations();
  let turn = 0;
  let isRunning = true;
  const countTurns = async (): Promise<void> => {
    while (isRunning) {
      await nextTurn();
      turn += 1;
    }
  };
  const counting = countTurns();
  const turns = await Promise.all(
    ['a', 'b', 'c', 'd'].map((payer) => operations.run(payer, async () => turn)),
  );
  isRunning = false;
  await counting;
  expect(new Set(turns).size).toBe(turns.length);
});

test('an account with many large operations delays those of others by one', async () => {
  const { started, run, end } = createRuns();
  const names = Array.from({ length: 10 }, (_, index) => `heavy ${index}`);
  const results = [...names.map((name) => run(name, 'heavy')), run('light')];
  await nextTurn();
  await end('heavy 0');
  expect(started).toEqual(['heavy 0', 'light']);
  await end('light');
  for (const name of names) await end(name);
  await Promise.all(results);
});

test('operations are large by their statements, and queries for two seconds after one that read many rows', () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const operations = new LargeOperations();
  const isLarge = (payer: string, isQuery: boolean, statements = 1) =>
    operations.isLarge(payer, { isQuery, statements });
  expect([isLarge('a', false, 20), isLarge('a', false, 21), isLarge('a', true, 21)]).toEqual([
    false,
    true,
    true,
  ]);
  operations.noteRows('a', 501);
  operations.noteRows('b', 500);
  expect([isLarge('a', true), isLarge('a', false), isLarge('b', true)]).toEqual([true, false, false]);
  vi.advanceTimersByTime(1_999);
  expect(isLarge('a', true)).toBe(true);
  vi.advanceTimersByTime(1);
  expect(isLarge('a', true)).toBe(false);
});

test('one unknown document is admitted in each turn of the event loop, fairly between its payers', async () => {
  const { admitDocument } = createOperationGate({
    operationLimits: createOperationLimits({ enabled: false }),
    databaseShares: { run: (_payer, work) => work() },
    reportRefusal: () => undefined,
    tails: { isCurrent: true },
    batchedReads: { isActive: async () => true },
    turnClock: new TurnClock(),
  });
  const admitted: string[] = [];
  const admit = async (address: string) => {
    await admitDocument('{ __typename }', payerOf(null, address));
    admitted.push(address);
  };
  const all = [...Array.from({ length: 10 }, () => admit('heavy')), admit('light')];
  const counts: number[] = [];
  while (admitted.length < all.length) {
    await nextTurn();
    counts.push(admitted.length);
  }
  await Promise.all(all);
  const steps = counts.map((count, index) => count - (counts[index - 1] ?? 0));
  expect(Math.max(...steps)).toBe(1);
  expect(admitted.indexOf('light')).toBeLessThan(3);
});
