import * as rows from '../db/presence.ts';
import type { LeaseRow } from '../db/presence.ts';
import { createBatcher } from '../lib/batcher.ts';
import type { Db } from '../db/database.ts';
import type { Logger } from '../log.ts';
import type { ActorRef } from '../actor.ts';

const RETRY_MS = 1_000;
const MAX_TOGETHER = 1_000;

export interface LeaseExpiryOptions {
  readonly db: Db;
  readonly log: Logger;
  /** How long nobody is told that an actor has left, in case it comes back. */
  readonly graceMs: number;
}

/** Ends leases: noted at once, and acted on when the grace period is over. Those that end together go together. */
export function createLeaseExpiry(
  { db, log, graceMs }: LeaseExpiryOptions,
  depart: (accounts: readonly ActorRef[]) => Promise<void>,
) {
  const timers = new Set<NodeJS.Timeout>();
  let stopped = false;

  const later = (ms: number, act: () => void): void => {
    if (stopped) return;
    const timer = setTimeout(() => {
      timers.delete(timer);
      act();
    }, ms);
    timers.add(timer);
  };
  const close = createBatcher<LeaseRow, void>(
    async (leases) => {
      await rows.closeLeases(db, idsOf(leases));
      return leases.map(() => undefined);
    },
    { maxBatchSize: MAX_TOGETHER },
  );
  const remove = createBatcher<LeaseRow, void>(
    async (leases) => {
      const accounts = leases.map((lease) => lease.account);
      await depart(await rows.removeLeases(db, idsOf(leases), accounts));
      return leases.map(() => undefined);
    },
    { maxBatchSize: MAX_TOGETHER },
  );
  const removeNow = (lease: LeaseRow): Promise<void> =>
    remove.load(lease).catch((error: unknown) => {
      log.warn({ err: error }, 'could not end a lease; trying again');
      later(RETRY_MS, () => void removeNow(lease));
    });

  return {
    async add(lease: LeaseRow): Promise<void> {
      if (graceMs === 0) return removeNow(lease);
      later(graceMs, () => void removeNow(lease));
      await close.load(lease).catch((error: unknown) => log.warn({ err: error }, 'could not close a lease'));
    },
    async stop(): Promise<void> {
      stopped = true;
      for (const timer of timers) clearTimeout(timer);
      await Promise.allSettled([close.idle(), remove.idle()]);
    },
  };
}

const idsOf = (leases: readonly LeaseRow[]): number[] => leases.map((lease) => lease.id);
