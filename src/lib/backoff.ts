import { setTimeout as pause } from 'node:timers/promises';

const FIRST_MS = 200;
const LONGEST_MS = 2_000;

/** Milliseconds to wait before a retry, random within bounds that double up to a cap. The first retry is number 0. */
export function retryDelay(retry: number): number {
  const longest = Math.min(LONGEST_MS, FIRST_MS * 2 ** retry);
  return (longest * (1 + Math.random())) / 2;
}

export interface RetryOptions {
  /** Whether the work is worth a retry after this error. */
  isRetryable(error: unknown): boolean;
  /** Checked before each retry; once it returns false the last error is thrown. */
  isWanted(): boolean;
}

/** Runs work until it succeeds, with a delay before each retry. Throws the first error that is not retryable. */
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
