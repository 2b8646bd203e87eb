import type { Stream } from 'node:stream';

/** Returns the result of `work`. Throws a `TimeoutError` after `ms`; the work itself is not cancelled. */
export async function withTimeout<Result>(ms: number, work: Promise<Result>): Promise<Result> {
  const { promise: timedOut, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new TimeoutError(ms)), ms);
  try {
    return await Promise.race([work, timedOut]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits for the work at most this time, and ignores its errors. */
export async function waitAtMost(ms: number, work: Promise<unknown>): Promise<void> {
  await withTimeout(ms, work).catch(() => undefined);
}

/** Calls back after `ms`, or when the stream is closed. Does not keep the process alive. */
export function callAfter(ms: number, stream: Stream, callback: () => void): void {
  const finish = (): void => {
    clearTimeout(timer);
    stream.off('close', finish);
    callback();
  };
  const timer = setTimeout(finish, ms).unref();
  stream.once('close', finish);
}

export class TimeoutError extends Error {
  override readonly name = 'TimeoutError';

  constructor(ms: number) {
    super(`Timed out after ${ms} ms.`);
  }
}

/** Calls back after `ms`, without keeping the process alive. Returns a function that cancels it. */
export type StartTimer = (ms: number, callback: () => void) => () => void;

export const startTimer: StartTimer = (ms, callback) => {
  const timer = setTimeout(callback, ms);
  timer.unref();
  return () => clearTimeout(timer);
};
