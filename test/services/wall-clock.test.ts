import { expect, inject, test, vi } from 'vitest';
import type { Db } from '../../src/db/database.ts';
import { createLogger } from '../../src/log.ts';
import { DatabaseClock, MAX_OFFSET_MS } from '../../src/services/wall-clock.ts';
import { createTokens } from '../../src/services/tokens.ts';
import { openTestDatabase } from '../harness/database.ts';
import type { UserId } from '../../src/ids.ts';

/** Starts a clock whose next measurement the test triggers. */
async function startClock(db: Db) {
  const lines: string[] = [];
  const log = createLogger('info', { write: (line) => void lines.push(line) });
  let measure = (): void => undefined;
  const clock = await DatabaseClock.start(db, log, (_ms, callback) => {
    measure = callback;
    return () => undefined;
  });
  const levels = () => lines.map((line) => (JSON.parse(line) as { level: number }).level);
  return { clock, levels, measure: () => measure() };
}

test('a clock that agrees with the database is used as it is', async () => {
  const { db } = await openTestDatabase();
  const { clock, levels } = await startClock(db);
  expect(clock.isOff).toBe(false);
  expect(Math.abs(clock.offsetMs)).toBeLessThan(MAX_OFFSET_MS);
  expect(levels()).toEqual([]);
  await clock[Symbol.asyncDispose]();
});

// The clock of the embedded database is that of the process.
test.runIf(inject('database') === 'postgres')(
  'a clock that is off is reported, and replaced by the time of the database, until it is set',
  async () => {
    const { db } = await openTestDatabase();
    const { clock, levels, measure } = await startClock(db);
    const realNow = Date.now();
    vi.useFakeTimers({ toFake: ['Date'], now: realNow + 8 * 86_400_000 });
    try {
      expect(clock.isOff).toBe(true);
      expect(Math.abs(clock.now() - realNow)).toBeLessThan(60_000);
      expect(clock.offsetMs / 86_400_000).toBeCloseTo(8, 1);
      measure();
      await vi.waitFor(() => expect(levels()).toEqual([50]));
      // The node accepts the tokens of the others.
      const user = { kind: 'user', id: 1 as UserId } as const;
      const [others, own] = [() => realNow, () => clock.now()].map((now) =>
        createTokens({ secret: 'a secret of the tests', now }),
      );
      const issued = await others?.issue(user);
      expect(await own?.verify(issued?.token ?? '')).toMatchObject({ actor: user });
    } finally {
      vi.useRealTimers();
    }
    expect(clock.isOff).toBe(false);
    measure();
    await vi.waitFor(() => expect(levels()).toEqual([50, 30]));
    await clock[Symbol.asyncDispose]();
  },
);
