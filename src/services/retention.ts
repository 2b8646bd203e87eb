import type { Config } from '../config.ts';
import { forgetUses } from '../db/channel-usage.ts';
import type { Db } from '../db/database.ts';
import * as eventLog from '../db/event-log.ts';
import { forgetKeys } from '../db/idempotency-keys.ts';
import * as sessions from '../db/sessions.ts';
import type { Logger } from '../log.ts';
import { USES_KEPT_DAYS, daysAgo } from './channel-usage.ts';
import type { MediaStorage } from './media-storage-fs.ts';
import { removeUnusedFiles } from './unused-files.ts';

const SWEEP_MS = 60_000;
/** Small, so that a sweep never keeps a writer waiting. */
const BATCH = 500;

export interface RetentionOptions {
  readonly db: Db;
  readonly config: Pick<Config, 'EVENT_RETENTION_DAYS' | 'EVENT_RETENTION_COUNT'>;
  readonly storage: MediaStorage;
  readonly log: Logger;
}

/**
 * Removes in the background what is kept for a time only: events past EVENT_RETENTION_DAYS or EVENT_RETENTION_COUNT,
 * idempotency keys of that age, what was used over 90 days ago, revocations of tokens that have expired, and files that nothing names any more.
 */
export function startRetention(options: RetentionOptions): AsyncDisposable {
  const stopping = new AbortController();
  let sweeping: Promise<void> | undefined;
  const timer = setInterval(() => {
    sweeping ??= sweep(options, stopping.signal)
      .catch((error: unknown) => {
        options.log.warn({ err: error }, 'removing what is out of date failed; trying again later');
      })
      .finally(() => (sweeping = undefined));
  }, SWEEP_MS);
  timer.unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      stopping.abort();
      await sweeping;
    },
  };
}

/** Removes all that is due now, in small batches. */
export async function sweep(options: RetentionOptions, signal?: AbortSignal): Promise<void> {
  const { db, config } = options;
  const before = await eventLog.daysBeforeNow(db, config.EVENT_RETENTION_DAYS);
  const removals = [
    () => eventLog.trim(db, before, config.EVENT_RETENTION_COUNT, BATCH),
    () => forgetKeys(db, before, BATCH),
    () => forgetUses(db, daysAgo(USES_KEPT_DAYS), BATCH),
  ];
  for (const remove of removals) while (signal?.aborted !== true && (await remove()) > 0);
  if (signal?.aborted === true) return;
  await sessions.forgetExpired(db);
  await removeUnusedFiles(options);
}
