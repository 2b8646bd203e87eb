import { BurstyRateLimiter, RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { actorKey } from '../actor.ts';
import { DomainError } from '../errors.ts';
import type { RefusedClient, ReportRefusal } from './refusals.ts';

interface Limit {
  /** Points per window that are always available. */
  readonly points: number;
  readonly windowSeconds: number;
  /** Further points, for bursts, with a window of their own. */
  readonly burst?: { readonly points: number; readonly windowSeconds: number };
}

/**
 * `signUp` counts sign-ups per address, and `allSignUps` those of all addresses; `connect` counts the logins of connections per
 * account, and the others its operations.
 */
const LIMITS = {
  signUp: { points: 10, windowSeconds: 60, burst: { points: 50, windowSeconds: 600 } },
  allSignUps: { points: 300, windowSeconds: 60, burst: { points: 1_000, windowSeconds: 600 } },
  connect: { points: 20, windowSeconds: 1, burst: { points: 2_000, windowSeconds: 60 } },
  send: { points: 1_000, windowSeconds: 1, burst: { points: 5_000, windowSeconds: 10 } },
  call: { points: 20, windowSeconds: 1, burst: { points: 100, windowSeconds: 10 } },
  signal: { points: 200, windowSeconds: 1, burst: { points: 1_000, windowSeconds: 10 } },
  typing: { points: 50, windowSeconds: 1, burst: { points: 250, windowSeconds: 10 } },
  read: { points: 50, windowSeconds: 1, burst: { points: 250, windowSeconds: 10 } },
} as const satisfies Record<string, Limit>;

export type LimitKind = keyof typeof LIMITS;

/** Rate limits, counted in memory on this node. `refusals.ts` lists all limits. */
export interface RateLimits {
  /** Consumes a point. Throws RATE_LIMITED with `retryAfterMs` when none is left. */
  consume(kind: LimitKind, user: RefusedClient): Promise<void>;
}

export interface RateLimitsOptions {
  readonly enabled: boolean;
  readonly reportRefusal?: ReportRefusal | undefined;
}

/** Creates the limits of this node. With `enabled: false` nothing is ever rejected. */
export function createRateLimits({ enabled, reportRefusal }: RateLimitsOptions): RateLimits {
  if (!enabled) return { consume: async () => undefined };
  const limiters = {
    signUp: createBurstLimiter(LIMITS.signUp),
    allSignUps: createBurstLimiter(LIMITS.allSignUps),
    connect: createBurstLimiter(LIMITS.connect),
    send: createBurstLimiter(LIMITS.send),
    call: createBurstLimiter(LIMITS.call),
    signal: createBurstLimiter(LIMITS.signal),
    typing: createBurstLimiter(LIMITS.typing),
    read: createBurstLimiter(LIMITS.read),
  };
  return {
    async consume(kind, user) {
      try {
        await limiters[kind].consume(kind === 'allSignUps' ? 'all' : keyOf(user));
      } catch (error) {
        if (!(error instanceof RateLimiterRes)) throw error;
        reportRefusal?.(kind, user);
        throw rateLimitedError(error, kind);
      }
    },
  };
}

const keyOf = ({ account, address = '' }: RefusedClient): string =>
  account === undefined ? address : actorKey(account);

const createLimiter = ({ points, windowSeconds }: Limit): RateLimiterMemory =>
  new RateLimiterMemory({ points, duration: windowSeconds });

const createBurstLimiter = ({ burst, ...limit }: Required<Limit>): BurstyRateLimiter =>
  new BurstyRateLimiter(createLimiter(limit), createLimiter(burst));

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
