import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

// The only timers that tests wait for, each by its reason. Everything else is waited for as an event.

const UNTIL_TIMEOUT_MS = 15_000;

/** Resolves once the condition holds, which is checked on each turn of the event loop. Throws at the deadline. */
export async function waitUntil(condition: () => boolean, timeoutMs = UNTIL_TIMEOUT_MS): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`Not within ${timeoutMs} ms: ${String(condition)}`);
    await nextTurn();
  }
}

/** Waits for as long as it would take for something to happen that must not: its absence has no event. */
export const quietPeriod = (ms: number): Promise<void> => sleep(ms);

/** Delays one step of a race, so that the steps meet in different orders. */
export const stagger = (ms: number): Promise<void> => sleep(ms);

/** Waits before the next attempt of a client that retries. */
export const pause = (ms: number): Promise<void> => sleep(ms);
