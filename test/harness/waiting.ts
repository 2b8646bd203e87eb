import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

// The only timers that tests wait for, named by their reasons. Tests wait for everything else as an event.

const UNTIL_TIMEOUT_MS = 15_000;

/** Resolves once the condition holds, checking it on each turn of the event loop. Throws after the timeout. */
export async function waitUntil(condition: () => boolean, timeoutMs = UNTIL_TIMEOUT_MS): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`Not within ${timeoutMs} ms: ${String(condition)}`);
    await nextTurn();
  }
}

/** Waits for a period during which nothing may happen, as an absence has no event to wait for. */
export const waitQuietPeriod = (ms: number): Promise<void> => sleep(ms);

/** Delays one step of a race, so that the steps occur in different orders. */
export const stagger = (ms: number): Promise<void> => sleep(ms);

/** Waits before the next attempt of a client that retries. */
export const pause = (ms: number): Promise<void> => sleep(ms);
