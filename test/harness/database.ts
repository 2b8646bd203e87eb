import { sql } from 'kysely';
import pg from 'pg';
import { inject } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import type { Database } from '../../src/db/database.ts';
import { createLogger } from '../../src/log.ts';
import { OWN_DATABASES } from './database-names.ts';

let opened: Promise<Database> | undefined;

/**
 * This worker's database, of the kind that the project is for, emptied: ask for it in every test. It is shared by the
 * test files that the worker runs, and stays open until it ends, whoever disposes of it.
 */
export async function testDatabase(): Promise<Database> {
  opened ??= inject('database') === 'postgres' ? openOwnPostgres() : open({ kind: 'pglite', dir: undefined });
  const database = await opened;
  await empty(database);
  return { ...database, [Symbol.asyncDispose]: async () => {} };
}

const open = (options: Parameters<typeof openDatabase>[0]) => openDatabase(options, createLogger('silent'));

/** Removes what tests have written, in one statement, and keeps what a new database has. */
async function empty({ db }: Database): Promise<void> {
  await sql`
    do $$ begin
      execute (
        select 'truncate ' || string_agg(quote_ident(tablename), ', ') || ' restart identity cascade'
        from pg_tables
        where schemaname = 'public' and tablename <> 'settings' and tablename not like 'kysely%'
      );
      delete from settings where name <> 'epoch';
    end $$
  `.execute(db);
}

async function openOwnPostgres(): Promise<Database> {
  const serverUrl = inject('postgresUrl');
  if (serverUrl === undefined) throw new Error('The postgres project provides no postgresUrl.');
  const name = `${OWN_DATABASES}${process.pid}_${Date.now()}`;
  await onServer(serverUrl, `create database ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return open({ kind: 'postgres', url: url.href });
}

async function onServer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
