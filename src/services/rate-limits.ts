import { BurstyRateLimiter, RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { DomainError } from '../errors.ts';
import { Semaphore } from '../lib/semaphore.ts';

interface Limit {
  /** Points per window that are always available. */
  readonly points: number;
  readonly windowSeconds: number;
  /** Further points, for bursts, with a window of their own. */
  readonly burst?: { readonly points: number; readonly windowSeconds: number };
}

/** `login` counts failed logins per e-mail or username; the others count operations per account. */
const LIMITS = {
  login: { points: 10, windowSeconds: 60 },
  send: { points: 1_000, windowSeconds: 1, burst: { points: 5_000, windowSeconds: 10 } },
  signal: { points: 200, windowSeconds: 1, burst: { points: 1_000, windowSeconds: 10 } },
  typing: { points: 50, windowSeconds: 1, burst: { points: 250, windowSeconds: 10 } },
} as const satisfies Record<string, Limit>;

export type LimitKind = keyof typeof LIMITS;

/**
 * Rate limits, counted in memory on this node. RATE_LIMITED has other sources, too: the full queues of `lib/batcher.ts`,
 * `passwords.ts` and `gateway/websocket/operation-ids.ts`.
 */
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

/** Creates the limits of this node. With `enabled: false` nothing is ever rejected. */
export function createRateLimits({ enabled }: { readonly enabled: boolean }): RateLimits {
  if (!enabled) return { consume: async () => undefined, checkCredential: (_key, check) => check() };
  const limiters = {
    login: createLimiter(LIMITS.login),
    send: createBurstLimiter(LIMITS.send),
    signal: createBurstLimiter(LIMITS.signal),
    typing: createBurstLimiter(LIMITS.typing),
  };
  const runSerially = createKeyedMutex();
  return {
    async consume(kind, key) {
      try {
        await limiters[kind].consume(key);
      } catch (error) {
        throw error instanceof RateLimiterRes ? rateLimitedError(error, kind) : error;
      }
    },
    checkCredential: (key, check) =>
      runSerially(key, async () => {
        const usage = await limiters.login.get(key);
        if (usage !== null && usage.remainingPoints <= 0) throw rateLimitedError(usage, 'login');
        const result = await check();
        if (result === undefined) await limiters.login.consume(key);
        return result;
      }),
  };
}

const createLimiter = ({ points, windowSeconds }: Limit): RateLimiterMemory =>
  new RateLimiterMemory({ points, duration: windowSeconds });

const createBurstLimiter = ({ burst, ...limit }: Required<Limit>): BurstyRateLimiter =>
  new BurstyRateLimiter(createLimiter(limit), createLimiter(burst));

/** Runs work of one key serially, and of different keys concurrently. */
function createKeyedMutex() {
  const byKey = new Map<string, Semaphore>();
  return async <Result>(key: string, work: () => Promise<Result>): Promise<Result> => {
    const semaphore = byKey.get(key) ?? new Semaphore(1);
    byKey.set(key, semaphore);
    try {
      return await semaphore.run(work);
    } finally {
      if (semaphore.isIdle) byKey.delete(key);
    }
  };
}

/**
 * Bounds `retryAfterMs` by the longest window of the limit: rate-limiter-flexible computes it from the wall clock, which
 * may have been changed in between.
 */
function rateLimitedError({ msBeforeNext }: RateLimiterRes, kind: LimitKind): DomainError {
  const limit: Limit = LIMITS[kind];
  const windowMs = 1_000 * (limit.burst ?? limit).windowSeconds;
  return new DomainError('RATE_LIMITED', 'Too many requests. Try again later.', {
    retryAfterMs: Math.min(Math.max(1, msBeforeNext), windowMs),
  });
}
