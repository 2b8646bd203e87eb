import { setTimeout as pause } from 'node:timers/promises';

const FIRST_DELAY_MS = 200;
const MAX_DELAY_MS = 2_000;

/** Returns the delay before a retry in milliseconds: exponential with jitter, capped. Attempts are numbered from 0. */
export function retryDelay(attempt: number): number {
  const max = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt);
  return (max * (1 + Math.random())) / 2;
}

export interface RetryOptions {
  isRetryable(error: unknown): boolean;
  /** Called before each retry. When it returns false, `retry` throws the last error. */
  isWanted(): boolean;
}

/** Runs the work until it succeeds, with a delay before each retry. Throws the first error that is not retryable. */
export async function retry<Result>(
  work: () => Promise<Result>,
  { isRetryable, isWanted }: RetryOptions,
): Promise<Result> {
  for (let count = 0; ; count += 1) {
    try {
      return await work();
    } catch (error) {
      if (!isRetryable(error)) throw error;
      await pause(retryDelay(count), undefined, { ref: false });
      if (!isWanted()) throw error;
    }
  }
}
