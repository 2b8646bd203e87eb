import type { Config } from '../config.ts';
import { openDatabase } from '../db/database.ts';
import type { Database } from '../db/database.ts';
import { requireForStartup } from '../lib/startup-error.ts';
import type { Logger } from '../log.ts';
import type { Tracing } from '../tracing.ts';

/** Opens the database that is configured. Throws a `StartError` if it is unavailable. */
export function openConfiguredDatabase(
  { DATABASE_URL: url, DATABASE_LISTEN_URL: listenUrl, DATABASE_POOL_SIZE: poolSize }: Config,
  dir: string | undefined,
  log: Logger,
  tracing: Tracing | undefined,
): Promise<Database> {
  if (url === undefined)
    return requireForStartup(
      `Cannot open the embedded database in ${dir ?? 'memory'} (DATA_DIR)`,
      openDatabase({ kind: 'pglite', dir }, log, tracing),
    );
  return requireForStartup(
    `Cannot open the database${describeUrl(url)} (DATABASE_URL)`,
    openDatabase({ kind: 'postgres', url, listenUrl, poolSize }, log, tracing),
  );
}

/** Returns the database and host of a URL, with a leading space and without credentials. */
export function describeUrl(url: string): string {
  if (!URL.canParse(url)) return '';
  const { host, pathname } = new URL(url);
  return host === '' ? '' : ` ${pathname.slice(1)} at ${host}`.replace(/ +/g, ' ');
}
