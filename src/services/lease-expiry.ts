import type { Db } from '../db/database.ts';
import * as leaseRows from '../db/leases.ts';
import type { LeaseRow } from '../db/leases.ts';
import { createBatcher } from '../lib/batcher.ts';
import { startTimer as startSystemTimer } from '../lib/timeout.ts';
import type { StartTimer } from '../lib/timeout.ts';
import type { Logger } from '../log.ts';
import type { PresenceUpdates } from './presence-updates.ts';

const MAX_BATCH_SIZE = 1_000;

export interface LeaseExpiryOptions {
  readonly db: Db;
  readonly log: Logger;
  /** How long an actor stays online after its last connection, in case it reconnects. */
  readonly graceMs: number;
  readonly startTimer?: StartTimer;
}

/**
 * Ends leases of closed connections in two steps: marks them closed immediately, so that nothing is routed to them,
 * and removes them after the grace period.
 */
export function createLeaseExpiry(
  { db, log, graceMs, startTimer = startSystemTimer }: LeaseExpiryOptions,
  updates: Pick<PresenceUpdates, 'remove'>,
) {
  const cancels = new Set<() => void>();
  let isStopped = false;

  const schedule = (ms: number, callback: () => void): void => {
    if (isStopped) return;
    const cancel = startTimer(ms, () => {
      cancels.delete(cancel);
      callback();
    });
    cancels.add(cancel);
  };
  const closeBatcher = createBatcher<LeaseRow, void>(
    async (leases) => {
      await leaseRows.closeLeases(db, idsOf(leases));
      return leases.map(() => undefined);
    },
    { maxBatchSize: MAX_BATCH_SIZE },
  );
  const removalBatcher = createBatcher<LeaseRow, void>(
    async (leases) => {
      await updates.remove(leases);
      return leases.map(() => undefined);
    },
    { maxBatchSize: MAX_BATCH_SIZE },
  );

  return {
    /** Ends a lease. Never throws. */
    async end(lease: LeaseRow): Promise<void> {
      if (graceMs === 0) return removalBatcher.submit(lease);
      schedule(graceMs, () => void removalBatcher.submit(lease));
      // Not retried: removal ends the lease anyway, only later.
      await closeBatcher
        .submit(lease)
        .catch((error: unknown) => log.warn({ err: error }, 'marking a lease as closed failed'));
    },
    async stop(): Promise<void> {
      isStopped = true;
      for (const cancel of cancels) cancel();
      await Promise.allSettled([closeBatcher.idle(), removalBatcher.idle()]);
    },
  };
}

const idsOf = (leases: readonly LeaseRow[]): number[] => leases.map((lease) => lease.id);
