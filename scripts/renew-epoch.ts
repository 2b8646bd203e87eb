// Makes all cursors of a database that was restored from a backup invalid: npm run renew-epoch
// Reads DATABASE_URL or DATA_DIR as the gateway does. Running nodes on PostgreSQL notice it within a second.
import { readDatabaseConfig } from '../src/config.ts';
import { openDatabase } from '../src/db/database.ts';
import { renewEpoch } from '../src/db/epoch.ts';
import { createLogger } from '../src/log.ts';

try {
  const { DATABASE_URL: url, DATA_DIR: dir } = readDatabaseConfig(process.env);
  if (url === undefined && dir === 'memory') throw new Error('a database in memory ends with its process');
  await using database = await openDatabase(
    url === undefined ? { kind: 'pglite', dir } : { kind: 'postgres', url },
    createLogger('warn'),
  );
  console.log(
    `The epoch is now ${await renewEpoch(database.db)}. Clients with earlier cursors read their data again.`,
  );
} catch (error) {
  console.error(`The epoch was not renewed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
