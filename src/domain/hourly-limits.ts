import type { Tx } from '../db/database.ts';
import { countUses } from '../db/hourly-counts.ts';
import { DomainError } from '../errors.ts';
import type { UserId } from '../ids.ts';
import type { Deps } from './deps.ts';
import type { LimitName } from '../services/refusals.ts';

export interface HourlyLimits {
  readonly accountId: UserId;
  readonly name: LimitName;
  /** The greatest number of uses by key. */
  readonly limits: ReadonlyMap<string, number>;
}

/** Counts one use of each key. Throws RATE_LIMITED, and counts none, if one exceeds its limit for this hour. */
export async function requireUnderHourlyLimits(
  { reportRefusal }: Pick<Deps, 'reportRefusal'>,
  tx: Tx,
  { accountId, name, limits }: HourlyLimits,
): Promise<void> {
  const counts = await countUses(tx, [...limits.keys()]);
  const waits = counts
    .filter(({ subject: key, count }) => count > (limits.get(key) ?? 0))
    .map(({ resetMs }) => resetMs);
  if (waits.length === 0) return;
  reportRefusal(name, { account: { kind: 'user', id: accountId } });
  throw new DomainError('RATE_LIMITED', 'Too many requests. Try again later.', {
    retryAfterMs: Math.max(1, ...waits),
  });
}
