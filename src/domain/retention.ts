import type { Config } from '../config.ts';
import type { Db } from '../db/database.ts';
import * as eventLog from '../db/event-log.ts';
import * as messages from '../db/messages.ts';
import * as sessions from '../db/sessions.ts';
import type { Logger } from '../log.ts';

const DAY_MS = 86_400_000;
const SWEEP_MS = 60_000;
/** Small, so that a sweep never keeps a writer waiting. */
const BATCH = 500;

export interface RetentionOptions {
  readonly db: Db;
  readonly config: Pick<Config, 'EVENT_RETENTION_DAYS' | 'EVENT_RETENTION_COUNT'>;
  readonly log: Logger;
}

/**
 * Removes in the background what is kept for a time only: events past EVENT_RETENTION_DAYS or EVENT_RETENTION_COUNT,
 * idempotency keys of that age, and revocations of tokens that have expired.
 */
export function startRetention(options: RetentionOptions): AsyncDisposable {
  const stopping = new AbortController();
  let sweeping: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    sweeping = sweeping.then(() => sweep(options, stopping.signal)).catch((error: unknown) => {
      options.log.warn({ err: error }, 'removing old events failed; trying again later');
    });
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
export async function sweep({ db, config }: RetentionOptions, signal?: AbortSignal): Promise<void> {
  const before = new Date(Date.now() - config.EVENT_RETENTION_DAYS * DAY_MS).toISOString();
  const isDone = async () => (await eventLog.trim(db, before, config.EVENT_RETENTION_COUNT, BATCH)) === 0;
  while (signal?.aborted !== true && !(await isDone()));
  if (signal?.aborted === true) return;
  await messages.forgetKeys(db, before);
  await sessions.forgetExpired(db);
}
