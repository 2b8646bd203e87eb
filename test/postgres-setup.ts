import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { DATABASE_PREFIX, startPostgres } from './harness/postgres.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The kind of database of the project. */
    database: 'pglite' | 'postgres';
    /** A superuser's URL of a PostgreSQL server; set if `database` is `postgres`. */
    postgresUrl?: string;
  }
}

/** Provides the `postgres` project with a server: that of TEST_DATABASE_URL, or a temporary one. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env.TEST_DATABASE_URL;
  if (given !== undefined && given !== '') {
    project.provide('postgresUrl', given);
    return () => removeOwnDatabases(given);
  }
  const server = await startPostgres();
  project.provide('postgresUrl', server.url);
  return async () => {
    await server[Symbol.asyncDispose]();
  };
}

async function removeOwnDatabases(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ datname: string }>(
      'select datname from pg_database where starts_with(datname, $1)',
      [DATABASE_PREFIX],
    );
    for (const { datname } of rows) await client.query(`drop database ${datname} with (force)`);
  } finally {
    await client.end();
  }
}
