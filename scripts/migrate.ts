// Migrates the database of DATABASE_URL or DATA_DIR, and exits: npm run migrate
import { readDatabaseConfig } from '../src/config.ts';
import { openDatabase } from '../src/db/database.ts';
import { requireForStartup } from '../src/lib/startup-error.ts';
import { createLogger } from '../src/log.ts';

try {
  const { DATABASE_URL: url, DATA_DIR: dir } = readDatabaseConfig(process.env);
  const options =
    url === undefined
      ? ({ kind: 'pglite', dir: dir === 'memory' ? undefined : dir } as const)
      : ({ kind: 'postgres', url } as const);
  await using _database = await requireForStartup(
    'Cannot migrate the database',
    openDatabase(options, createLogger('info')),
  );
  console.log('The database has the schema of this release.');
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
