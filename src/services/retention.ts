import type { Config } from '../config.ts';
import { deleteEndedBlocks } from '../db/account-blocks.ts';
import { deleteEntriesBefore } from '../db/audit-log.ts';
import { deleteUsageBefore } from '../db/channel-usage.ts';
import { readClock } from '../db/clock.ts';
import { daysBeforeNow } from '../db/event-log.ts';
import { deleteKeysBefore } from '../db/idempotency-keys.ts';
import {
  createPartitions,
  deleteStrayEvents,
  dropPartitions,
  findRetentionLag,
} from '../db/log-partitions.ts';
import { hasNodesOfOldLog } from '../db/nodes.ts';
import { trimTopics } from '../db/log-trims.ts';
import { deleteExpiredAttempts } from '../db/login-attempts.ts';
import * as mediaRows from '../db/media.ts';
import { deleteUnusedDetails } from '../db/media-details.ts';
import * as sessions from '../db/sessions.ts';
import { claimSweep, postponeSweep } from '../db/sweeps.ts';
import type { Timestamp } from '../db/tables.ts';
import { removeExpiredUploads } from '../db/resumable-uploads.ts';
import {
  abandonUploads,
  clearPartUpload,
  deleteUsageOfEarlierDays,
  findAbandonedParts,
} from '../db/uploads.ts';
import { labelEvents } from '../events/erasure.ts';
import type { TransactDeps } from '../events/unit-of-work.ts';
import type { Logger } from '../log.ts';
import { KNOWN_CLIENT_DAYS } from './known-clients.ts';
import { FAILURE_WINDOW_SECONDS } from './login-delays.ts';
import { USAGE_RETENTION_DAYS, daysAgo } from './channel-usage.ts';
import type { WallClock } from './wall-clock.ts';
import { expirePendingFiles } from './pending-files.ts';
import { uploadLifetimeMs } from './upload-lifetime.ts';
import type { MediaStorage } from './media-storage.ts';

const SWEEP_INTERVAL_MS = 60_000;
/** Longest interval: it doubles with each sweep that finds nothing to remove. */
const MAX_IDLE_INTERVAL_MS = 300_000;
/** A sweep that reports no progress for this long is taken for dead: another node sweeps. */
const CLAIM_MS = 600_000;
const SWEEP = 'retention';
/** Rows per statement: small, so that a sweep does not block writers. */
const BATCH_SIZE = 500;
/** Removed events per statement, which hold no locks that writers need. */
const EVENT_BATCH_SIZE = 2_000;
const FILE_BATCH_SIZE = 100;
/** A year, as audits are yearly, and a month in which to do one. */
const AUDIT_RETENTION_DAYS = 400;

export interface RetentionOptions extends TransactDeps {
  readonly config: Pick<Config, 'EVENT_RETENTION_DAYS' | 'EVENT_RETENTION_COUNT' | 'MAX_UPLOAD_BYTES'>;
  readonly mediaStorage: MediaStorage;
  readonly log: Logger;
}

/** The sweeps of a node. */
export interface Retention extends AsyncDisposable {
  /** Time since this node last swept, or started. */
  readonly sweepAgeSeconds: number;
  /** How long ago, at the last check, the oldest part of the log should have been removed; 0 if nothing is overdue. */
  readonly lagSeconds: number;
}

/**
 * Sweeps expired data: events and idempotency keys past their retention, channel usage past 90 days, entries of the
 * audit log past 400 days, revocations of expired tokens, blocks of accounts that have ended, declared files that never came, files that a crash left behind, counts of failed logins, and unused media files.
 * One node of the cluster sweeps, whose clock is right, each minute while there is something to remove. Disposal waits for
 * a sweep in progress.
 */
export function startRetention(
  options: RetentionOptions & { readonly clock: Pick<WallClock, 'isOff'> },
): Retention {
  const stopController = new AbortController();
  let currentSweep: Promise<void> | undefined;
  let sweptAt = performance.now();
  let lagMs = 0;
  let intervalMs = SWEEP_INTERVAL_MS;
  const sweepIfDue = async (): Promise<void> => {
    lagMs = await findRetentionLag(options.db, options.config.EVENT_RETENTION_DAYS);
    if (!(await claimSweep(options.db, SWEEP, CLAIM_MS))) return;
    const retrySoon = () => postponeSweep(options.db, SWEEP, SWEEP_INTERVAL_MS);
    try {
      const removed = await sweep(options, stopController.signal);
      if (stopController.signal.aborted) return await retrySoon();
      sweptAt = performance.now();
      intervalMs = removed > 0 ? SWEEP_INTERVAL_MS : Math.min(2 * intervalMs, MAX_IDLE_INTERVAL_MS);
      await postponeSweep(options.db, SWEEP, intervalMs);
    } catch (error) {
      await retrySoon();
      throw error;
    }
  };
  const timer = setInterval(() => {
    // Times are compared by the clock of the database. But a node with a wrong clock may be wrong in more.
    if (options.clock.isOff) return;
    currentSweep ??= sweepIfDue()
      .catch((error: unknown) => {
        options.log.warn({ err: error }, 'retention sweep failed, retrying later');
      })
      .finally(() => (currentSweep = undefined));
  }, SWEEP_INTERVAL_MS);
  timer.unref();
  return {
    get sweepAgeSeconds() {
      return (performance.now() - sweptAt) / 1000;
    },
    get lagSeconds() {
      return lagMs / 1000;
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      stopController.abort();
      await currentSweep;
    },
  };
}

/**
 * Removes all expired data in small batches; stops between two batches when aborted. Returns how many rows and partitions
 * it has removed or changed.
 */
export async function sweep(options: RetentionOptions, signal?: AbortSignal): Promise<number> {
  const { db, config } = options;
  const before = await daysBeforeNow(db, config.EVENT_RETENTION_DAYS);
  const auditedBefore = await daysBeforeNow(db, AUDIT_RETENTION_DAYS);
  const usedBefore = daysAgo(USAGE_RETENTION_DAYS, await readClock(db));
  await createPartitions(db, config.EVENT_RETENTION_DAYS);
  const abandonedMs = uploadLifetimeMs(config.MAX_UPLOAD_BYTES);
  const steps = [
    // First, so that no event is labelled that is about to be removed.
    ...((await hasNodesOfOldLog(db)) ? [] : eventSteps(options, before)),
    () => labelEvents(db),
    () => expirePendingFiles(options, abandonedMs, BATCH_SIZE),
    () => deleteUsageOfEarlierDays(db, BATCH_SIZE),
    () => removeExpiredUploads(db, BATCH_SIZE),
    () => abortPartUploads(options, abandonedMs),
    () => abandonUploads(db, abandonedMs, BATCH_SIZE),
    () => deleteKeysBefore(db, before, BATCH_SIZE),
    () => deleteUsageBefore(db, usedBefore, BATCH_SIZE),
    () => deleteEntriesBefore(db, auditedBefore, BATCH_SIZE),
    () => removeUnusedFiles(options),
    () => deleteUnusedDetails(db, BATCH_SIZE),
  ];
  let removed = 0;
  for (const step of steps) {
    for (let count = Infinity; count > 0 && signal?.aborted !== true;) {
      count = await step();
      removed += count;
      if (count > 0) await postponeSweep(db, SWEEP, CLAIM_MS);
    }
  }
  if (signal?.aborted === true) return removed;
  removed += await sessions.deleteExpiredRevocations(db);
  removed += await deleteEndedBlocks(db);
  await deleteExpiredAttempts(db, {
    windowSeconds: FAILURE_WINDOW_SECONDS,
    knownDays: KNOWN_CLIENT_DAYS,
  });
  return removed;
}

/** Nodes of an older version remove events themselves, with a record that they rely on. */
const eventSteps = ({ db, config }: RetentionOptions, before: Timestamp) => [
  () => dropPartitions(db, before),
  () => deleteStrayEvents(db, before, EVENT_BATCH_SIZE),
  () => trimTopics(db, config.EVENT_RETENTION_COUNT),
];

/**
 * Removes the parts of abandoned uploads. Never throws: the next call retries. Returns the number of uploads that have none any
 * more.
 */
async function abortPartUploads({ db, mediaStorage, log }: RetentionOptions, ageMs: number): Promise<number> {
  try {
    const abandoned = await findAbandonedParts(db, ageMs, FILE_BATCH_SIZE);
    let cleared = 0;
    for (const { storageName, partUploadId } of abandoned) {
      if ((await mediaStorage.partUploads?.abort(storageName, partUploadId)) === false) continue;
      await clearPartUpload(db, storageName, partUploadId);
      cleared += 1;
    }
    return cleared;
  } catch (error) {
    log.warn({ err: error }, 'removal of abandoned parts failed, retrying later');
    return 0;
  }
}

/**
 * Removes stored files that no media row references any more: their message, conversation or account was deleted, or
 * the file was replaced. Returns their number: those of one batch, so that no request waits for more; the retention removes
 * the rest. Never throws: the next call retries.
 */
export async function removeUnusedFiles({
  db,
  mediaStorage,
  log,
}: Pick<RetentionOptions, 'db' | 'mediaStorage' | 'log'>): Promise<number> {
  try {
    const names = await mediaRows.findUnusedFiles(db, FILE_BATCH_SIZE);
    if (names.length === 0) return 0;
    // Files first: were the rows deleted first, a failure here would leave the files behind for good.
    await mediaStorage.remove(names);
    await mediaRows.deleteUnusedFiles(db, names);
    return names.length;
  } catch (error) {
    log.warn({ err: error }, 'removal of unused files failed, retrying later');
    return 0;
  }
}
