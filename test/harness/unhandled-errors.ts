import { afterEach, beforeEach, expect } from 'vitest';

/** Fails each test during which the process, and the gateway in it, had an uncaught exception or unhandled rejection. */
export function expectNoUnhandledErrors(): void {
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  beforeEach(() => {
    process.on('uncaughtException', note);
    process.on('unhandledRejection', note);
  });
  afterEach(async () => {
    // Node reports rejections after the microtasks of a turn of the event loop.
    await new Promise(setImmediate);
    process.off('uncaughtException', note);
    process.off('unhandledRejection', note);
    expect(unhandled.splice(0)).toEqual([]);
  });
}
