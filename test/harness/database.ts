import { sql } from 'kysely';
import pg from 'pg';
import { inject } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import type { Database } from '../../src/db/database.ts';
import { readEpoch } from '../../src/db/epoch.ts';
import { createLogger } from '../../src/log.ts';
import { createDataFolder } from './data-folder.ts';
import { DATABASE_PREFIX } from './postgres.ts';

let openedDatabase: Promise<Database> | undefined;

/**
 * Empties and returns this worker's database, of the project's kind. Call it in every test. All test files of a worker
 * share it. It stays open until the worker exits, even if it is disposed.
 */
export async function openTestDatabase(): Promise<Database> {
  openedDatabase ??= inject('database') === 'postgres' ? openOwnPostgres() : openOwnEmbedded();
  const database = await openedDatabase;
  await deleteRows(database);
  return { ...database, epoch: await readEpoch(database.db), [Symbol.asyncDispose]: async () => {} };
}

/**
 * Opens a copy of a prepared cluster, which takes half the CPU time of a new one in memory. Its folder is deleted at the
 * end of the run, as workers exit without disposing of shared databases.
 */
export async function openOwnEmbedded(): Promise<Database> {
  const { path } = await createDataFolder(inject('embeddedDatabases'));
  return open({ kind: 'pglite', dir: path });
}

const open = (options: Parameters<typeof openDatabase>[0]) => openDatabase(options, createLogger('silent'));

/**
 * Deletes the rows that tests have written, in one statement, and keeps those of a new database. For small tables this is
 * four times faster than truncating: the embedded database creates a file for each truncated table and index.
 */
async function deleteRows({ db }: Database): Promise<void> {
  await sql`
    do $$
    declare
      target text;
    begin
      -- Disables foreign key checks, as all tables are emptied.
      set local session_replication_role = replica;
      for target in
        select quote_ident(tablename) from pg_tables
        where schemaname = 'public' and tablename <> 'settings' and tablename not like 'kysely%'
      loop
        execute 'delete from ' || target;
      end loop;
      for target in
        select quote_ident(sequencename) from pg_sequences where schemaname = 'public' and last_value is not null
      loop
        execute 'alter sequence ' || target || ' restart';
      end loop;
      delete from settings where name <> 'epoch';
    end $$
  `.execute(db);
}

const openOwnPostgres = async (): Promise<Database> =>
  open({ kind: 'postgres', url: await createOwnPostgres() });

let createdCount = 0;

/** Creates an empty database on the server of the project `postgres`, which is deleted at the end of the run. Returns its URL. */
export async function createOwnPostgres(): Promise<string> {
  const serverUrl = inject('postgresUrl');
  if (serverUrl === undefined) throw new Error('The postgres project provides no postgresUrl.');
  const name = `${DATABASE_PREFIX}${process.pid}_${Date.now()}_${(createdCount += 1)}`;
  await runOnServer(serverUrl, `create database ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

async function runOnServer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
