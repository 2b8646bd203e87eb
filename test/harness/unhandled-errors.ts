import { afterEach, beforeEach, expect } from 'vitest';

/** Fails each test during which the process has an uncaught exception or unhandled rejection. */
export function expectNoUnhandledErrors(): void {
  const unhandled: unknown[] = [];
  const record = (error: unknown): void => void unhandled.push(error);
  beforeEach(() => {
    process.on('uncaughtException', record);
    process.on('unhandledRejection', record);
  });
  afterEach(async () => {
    // Node reports rejections after the microtasks of a turn of the event loop.
    await new Promise(setImmediate);
    process.off('uncaughtException', record);
    process.off('unhandledRejection', record);
    expect(unhandled.splice(0)).toEqual([]);
  });
}
