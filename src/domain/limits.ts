import { BurstyRateLimiter, RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible';
import { DomainError } from '../errors.ts';

/** What is counted: failed logins for each e-mail or username, the rest for each account. */
export type LimitKind = 'login' | 'send' | 'signal' | 'typing';

/** How often something may be done, counted on this node. */
export interface Limits {
  /** Counts one use. Throws RATE_LIMITED, with the time to wait, when there is none left. */
  consume(kind: LimitKind, key: string): Promise<void>;
  /** Throws RATE_LIMITED when no use is left, and counts none: for what is counted only when it fails. */
  check(kind: LimitKind, key: string): Promise<void>;
}

/** Limits with bounded memory; off, nothing is ever refused. */
export function createLimits(options: { readonly enabled: boolean }): Limits {
  throw new Error(`not written: ${String(options)}`);
}
