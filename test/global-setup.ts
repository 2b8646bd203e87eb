import type { TestProject } from 'vitest/node';
import { startPostgres } from './support/postgres.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The kind of database that this run of the test is for. */
    database: 'pglite' | 'postgres';
    /** A superuser's address on a real PostgreSQL; only there when `database` is `postgres`. */
    postgresUrl?: string;
  }
}

/** Gives the `postgres` project a server: that of TEST_DATABASE_URL, or one of its own for the time of the run. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env.TEST_DATABASE_URL;
  if (given !== undefined && given !== '') {
    project.provide('postgresUrl', given);
    return undefined;
  }
  const server = await startPostgres();
  project.provide('postgresUrl', server.url);
  return async () => {
    await server[Symbol.asyncDispose]();
  };
}
