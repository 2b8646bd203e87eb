import { BurstyRateLimiter, RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { DomainError } from '../errors.ts';
import { Semaphore } from '../lib/semaphore.ts';

/** `login` counts failed logins per e-mail or username; the others count operations per account. */
export type LimitKind = 'login' | 'send' | 'signal' | 'typing';

/** Rate limits, counted in memory on this node. */
export interface RateLimits {
  /** Consumes a point. Throws RATE_LIMITED with `retryAfterMs` when none is left. */
  consume(kind: LimitKind, key: string): Promise<void>;
  /**
   * Runs a credential check under the `login` limit. `check` returns undefined on failure; only failures consume a
   * point. Checks for one key run serially, so that concurrent guesses cannot bypass the limit. Throws RATE_LIMITED
   * without running `check` when no point is left.
   */
  checkCredential<Result>(key: string, check: () => Promise<Result | undefined>): Promise<Result | undefined>;
}

/** Time after which a limit is full again. */
const WINDOW_MS: Readonly<Record<LimitKind, number>> = {
  login: 60_000,
  send: 10_000,
  signal: 10_000,
  typing: 10_000,
};

const steady = (points: number, seconds: number): RateLimiterMemory =>
  new RateLimiterMemory({ points, duration: seconds });

/** `points` per second, plus `burst` more per ten seconds. */
const bursty = (points: number, burst: number): BurstyRateLimiter =>
  new BurstyRateLimiter(steady(points, 1), steady(burst, 10));

/** Creates the limits of this node. With `enabled: false` nothing is ever refused. */
export function createRateLimits({ enabled }: { readonly enabled: boolean }): RateLimits {
  if (!enabled) return { consume: async () => undefined, checkCredential: (_key, check) => check() };
  const limiters = {
    login: steady(10, 60),
    send: bursty(1_000, 5_000),
    signal: bursty(200, 1_000),
    typing: bursty(50, 250),
  };
  const runSerially = createKeyedMutex();
  return {
    async consume(kind, key) {
      try {
        await limiters[kind].consume(key);
      } catch (error) {
        throw error instanceof RateLimiterRes ? rateLimited(error, WINDOW_MS[kind]) : error;
      }
    },
    checkCredential: (key, check) =>
      runSerially(key, async () => {
        const used = await limiters.login.get(key);
        if (used !== null && used.remainingPoints <= 0) throw rateLimited(used, WINDOW_MS.login);
        const result = await check();
        if (result === undefined) await limiters.login.consume(key);
        return result;
      }),
  };
}

/** Runs work of one key serially, and of different keys concurrently. */
function createKeyedMutex() {
  const byKey = new Map<string, Semaphore>();
  return async <Result>(key: string, work: () => Promise<Result>): Promise<Result> => {
    const semaphore = byKey.get(key) ?? new Semaphore(1);
    byKey.set(key, semaphore);
    try {
      return await semaphore.run(work);
    } finally {
      if (semaphore.idle) byKey.delete(key);
    }
  };
}

/** Bounds the time: rate-limiter-flexible computes it from the wall clock, which may have been set meanwhile. */
const rateLimited = ({ msBeforeNext }: RateLimiterRes, windowMs: number): DomainError =>
  new DomainError('RATE_LIMITED', 'Too many requests. Try again later.', {
    retryAfterMs: Math.min(Math.max(1, msBeforeNext), windowMs),
  });
