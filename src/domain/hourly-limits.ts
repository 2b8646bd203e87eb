import type { Tx } from '../db/database.ts';
import { countUses } from '../db/hourly-counts.ts';
import { DomainError } from '../errors.ts';
import type { UserId } from '../ids.ts';
import type { Deps } from './deps.ts';

export interface HourlyLimits {
  readonly accountId: UserId;
  /** Name of the limit in the security log. */
  readonly subject: string;
  /** The greatest number of uses by key. */
  readonly limits: ReadonlyMap<string, number>;
}

/** Counts one use of each key. Throws RATE_LIMITED, and counts none, if one exceeds its limit for this hour. */
export async function requireUnderHourlyLimits(
  { securityLog }: Pick<Deps, 'securityLog'>,
  tx: Tx,
  { accountId, subject, limits }: HourlyLimits,
): Promise<void> {
  const counts = await countUses(tx, [...limits.keys()]);
  const waits = counts
    .filter(({ subject: key, count }) => count > (limits.get(key) ?? 0))
    .map(({ resetMs }) => resetMs);
  if (waits.length === 0) return;
  securityLog.record('limit reached', { account: { kind: 'user', id: accountId }, detail: subject });
  throw new DomainError('RATE_LIMITED', 'Too many requests. Try again later.', {
    retryAfterMs: Math.max(1, ...waits),
  });
}
