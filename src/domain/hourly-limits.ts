import type { Tx } from '../db/database.ts';
import { countUses } from '../db/hourly-counts.ts';
import { DomainError } from '../errors.ts';
import type { UserId } from '../ids.ts';
import type { Deps, HourlyLimitName } from './deps.ts';

export interface HourlyLimits {
  readonly accountId: UserId;
  readonly name: HourlyLimitName;
  /** The greatest number of uses by key. */
  readonly limits: ReadonlyMap<string, number>;
}

/** Counts one use of each key. Throws RATE_LIMITED, and counts none, if one exceeds its limit for this hour. */
export async function requireUnderHourlyLimits(
  { securityLog, countRefusal }: Pick<Deps, 'securityLog' | 'countRefusal'>,
  tx: Tx,
  { accountId, name, limits }: HourlyLimits,
): Promise<void> {
  const counts = await countUses(tx, [...limits.keys()]);
  const waits = counts
    .filter(({ subject: key, count }) => count > (limits.get(key) ?? 0))
    .map(({ resetMs }) => resetMs);
  if (waits.length === 0) return;
  securityLog.record('limit reached', { account: { kind: 'user', id: accountId }, detail: name });
  countRefusal(name);
  throw new DomainError('RATE_LIMITED', 'Too many requests. Try again later.', {
    retryAfterMs: Math.max(1, ...waits),
  });
}
