import type { Tx } from '../db/database.ts';
import { countUses } from '../db/hourly-counts.ts';
import { DomainError } from '../errors.ts';

/** Counts one use of each subject. Throws RATE_LIMITED, and counts none, if one exceeds its limit for this hour. */
export async function requireUnderHourlyLimits(tx: Tx, limits: ReadonlyMap<string, number>): Promise<void> {
  const counts = await countUses(tx, [...limits.keys()]);
  const waits = counts
    .filter(({ subject, count }) => count > (limits.get(subject) ?? 0))
    .map(({ resetMs }) => resetMs);
  if (waits.length > 0)
    throw new DomainError('RATE_LIMITED', 'Too many requests. Try again later.', {
      retryAfterMs: Math.max(1, ...waits),
    });
}
