import type { StartTimer } from '../../src/lib/timeout.ts';

export interface FakeTimers {
  readonly startTimer: StartTimer;
  /** Advances the clock, and runs due callbacks in order, including those of timers started by them. */
  advance(ms: number): void;
}

/** Creates timers that a test advances. Unlike vitest's, they do not affect the timers of the database client. */
export function createFakeTimers(): FakeTimers {
  const pending = new Set<{ readonly dueAt: number; readonly callback: () => void }>();
  let now = 0;
  return {
    startTimer(ms, callback) {
      const timer = { dueAt: now + ms, callback };
      pending.add(timer);
      return () => pending.delete(timer);
    },
    advance(ms) {
      const end = now + ms;
      for (;;) {
        const [next] = [...pending].toSorted((a, b) => a.dueAt - b.dueAt);
        if (next === undefined || next.dueAt > end) break;
        pending.delete(next);
        now = next.dueAt;
        next.callback();
      }
      now = end;
    },
  };
}
