import { readDatabaseConfig } from '../config.ts';
import { openDatabase } from '../db/database.ts';
import { renewEpoch } from '../db/epoch.ts';
import { requireForStartup, StartError } from '../lib/startup-error.ts';
import { createLogger } from '../log.ts';
import type { Run } from './run.ts';

const ATTEMPT = 'The epoch was not renewed';

/** Makes all cursors of a database that was restored from a backup invalid. Running nodes on PostgreSQL notice it within a second. */
export const run: Run = async (_args, environment) => {
  const { DATABASE_URL: url, DATA_DIR: dir } = readDatabaseConfig(environment);
  if (url === undefined && dir === 'memory')
    throw new StartError(`${ATTEMPT}: a database in memory ends with its process`);
  await using database = await requireForStartup(
    ATTEMPT,
    openDatabase(
      url === undefined ? { kind: 'pglite', dir } : { kind: 'postgres', url },
      createLogger('warn'),
    ),
  );
  const epoch = await requireForStartup(ATTEMPT, renewEpoch(database.db));
  return `The epoch is now ${epoch}. Clients with earlier cursors read their data again.\n`;
};
