import { BurstyRateLimiter, RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { DomainError } from '../errors.ts';
import { createSemaphore } from '../lib/semaphore.ts';
import type { Semaphore } from '../lib/semaphore.ts';

/** What is counted: failed logins for each e-mail or username, the rest for each account. */
export type LimitKind = 'login' | 'send' | 'signal' | 'typing';

/** How often something may be done, counted on this node. */
export interface RateLimits {
  /** Counts one use. Throws RATE_LIMITED, with the time to wait, when there is none left. */
  consume(kind: LimitKind, key: string): Promise<void>;
  /**
   * Has a secret checked: the work answers undefined for a wrong one, and only that counts as a use of `login`. Who
   * guesses at one key waits for the guess before, as many at once would all be made before the first one counts.
   * Throws RATE_LIMITED, without the work, when none is left.
   */
  checkCredential<Result>(key: string, work: () => Promise<Result | undefined>): Promise<Result | undefined>;
}

/** After so long without a use, as many are allowed as at first. */
const WINDOW_MS: Readonly<Record<LimitKind, number>> = {
  login: 60_000,
  send: 10_000,
  signal: 10_000,
  typing: 10_000,
};

const steady = (points: number, seconds: number): RateLimiterMemory =>
  new RateLimiterMemory({ points, duration: seconds });

/** Some each second, and some more on top within ten. */
const bursty = (points: number, burst: number): BurstyRateLimiter =>
  new BurstyRateLimiter(steady(points, 1), steady(burst, 10));

/** Counts uses in memory, which forgets a key when its time is over. When not `enabled`, nothing is ever refused. */
export function createRateLimits({ enabled }: { readonly enabled: boolean }): RateLimits {
  if (!enabled) return { consume: async () => undefined, checkCredential: (_key, work) => work() };
  const limiters = {
    login: steady(10, 60),
    send: bursty(1_000, 5_000),
    signal: bursty(200, 1_000),
    typing: bursty(50, 250),
  };
  const inTurn = createTurnsByKey();
  return {
    async consume(kind, key) {
      try {
        await limiters[kind].consume(key);
      } catch (error) {
        throw error instanceof RateLimiterRes ? tooMany(error, WINDOW_MS[kind]) : error;
      }
    },
    checkCredential: (key, work) =>
      inTurn(key, async () => {
        const used = await limiters.login.get(key);
        if (used !== null && used.remainingPoints <= 0) throw tooMany(used, WINDOW_MS.login);
        const result = await work();
        if (result === undefined) await limiters.login.consume(key);
        return result;
      }),
  };
}

/** Has works of one key done one after the other. */
function createTurnsByKey() {
  const byKey = new Map<string, Semaphore>();
  return async <Result>(key: string, work: () => Promise<Result>): Promise<Result> => {
    const turns = byKey.get(key) ?? createSemaphore(1);
    byKey.set(key, turns);
    try {
      return await turns.run(work);
    } finally {
      if (turns.idle) byKey.delete(key);
    }
  };
}

/** The library forgets uses by timers, but reckons how long by the wall clock, which may have been set meanwhile. */
const tooMany = ({ msBeforeNext }: RateLimiterRes, windowMs: number): DomainError =>
  new DomainError('RATE_LIMITED', 'There were too many requests. Try again later.', {
    retryAfterMs: Math.min(Math.max(1, msBeforeNext), windowMs),
  });
