import type { Config } from '../config.ts';
import type { Db } from '../db/database.ts';
import type { Logger } from '../log.ts';

/**
 * Removes in the background what is kept for a time only: events past EVENT_RETENTION_DAYS or EVENT_RETENTION_COUNT,
 * idempotency keys of that age, and revocations of tokens that have expired.
 */
export function startRetention(deps: {
  readonly db: Db;
  readonly config: Pick<Config, 'EVENT_RETENTION_DAYS' | 'EVENT_RETENTION_COUNT'>;
  readonly log: Logger;
}): AsyncDisposable {
  throw new Error(`not written: ${String(deps)}`);
}
