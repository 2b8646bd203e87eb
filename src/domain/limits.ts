import { BurstyRateLimiter, RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { DomainError } from '../errors.ts';

/** What is counted: failed logins for each e-mail or username, the rest for each account. */
export type LimitKind = 'login' | 'send' | 'signal' | 'typing';

/** How often something may be done, counted on this node. */
export interface Limits {
  /** Counts one use. Throws RATE_LIMITED, with the time to wait, when there is none left. */
  consume(kind: LimitKind, key: string): Promise<void>;
  /** Throws RATE_LIMITED when no use is left, and counts none: for what is counted only when it fails. */
  check(kind: 'login', key: string): Promise<void>;
}

const steady = (points: number, seconds: number): RateLimiterMemory =>
  new RateLimiterMemory({ points, duration: seconds });

/** Some each second, and some more on top within ten. */
const bursty = (points: number, burst: number): BurstyRateLimiter =>
  new BurstyRateLimiter(steady(points, 1), steady(burst, 10));

/** Counts uses in memory, which forgets a key when its time is over. When not `enabled`, nothing is ever refused. */
export function createLimits({ enabled }: { readonly enabled: boolean }): Limits {
  if (!enabled) return { consume: async () => undefined, check: async () => undefined };
  const limiters = {
    login: steady(10, 60),
    send: bursty(1_000, 5_000),
    signal: bursty(200, 1_000),
    typing: bursty(50, 250),
  };
  return {
    async consume(kind, key) {
      try {
        await limiters[kind].consume(key);
      } catch (error) {
        throw error instanceof RateLimiterRes ? tooMany(error) : error;
      }
    },
    async check(kind, key) {
      const used = await limiters[kind].get(key);
      if (used !== null && used.remainingPoints <= 0) throw tooMany(used);
    },
  };
}

const tooMany = ({ msBeforeNext }: RateLimiterRes): DomainError =>
  new DomainError('RATE_LIMITED', 'There were too many requests. Try again later.', {
    retryAfterMs: Math.max(1, msBeforeNext),
  });
