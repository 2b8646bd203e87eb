import { readDatabaseConfig } from '../config.ts';
import { openDatabase } from '../db/database.ts';
import { requireForStartup } from '../lib/startup-error.ts';
import { createLogger } from '../log.ts';
import type { Run } from './run.ts';

/** Migrates the database of DATABASE_URL or DATA_DIR. */
export const run: Run = async (_args, environment) => {
  const { DATABASE_URL: url, DATA_DIR: dir } = readDatabaseConfig(environment);
  const options =
    url === undefined
      ? ({ kind: 'pglite', dir: dir === 'memory' ? undefined : dir } as const)
      : ({ kind: 'postgres', url } as const);
  await using _database = await requireForStartup(
    'Cannot migrate the database',
    openDatabase(options, createLogger('info')),
  );
  return 'The database has the schema of this release.\n';
};
