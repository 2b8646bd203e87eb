import { afterEach, beforeEach, expect } from 'vitest';

/** Lets a test fail during which the process, and with it the gateway, met an error that nobody took care of. */
export function expectNothingUnhandled(): void {
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  beforeEach(() => {
    process.on('uncaughtException', note);
    process.on('unhandledRejection', note);
  });
  afterEach(async () => {
    // Rejections are reported after the microtasks of a turn.
    await new Promise(setImmediate);
    process.off('uncaughtException', note);
    process.off('unhandledRejection', note);
    expect(unhandled.splice(0)).toEqual([]);
  });
}
