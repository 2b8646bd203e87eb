import { sql } from 'kysely';
import pg from 'pg';
import type { Db } from '../../src/db/database.ts';

/** Locks rows in a session that is not one of a node, until it is disposed. */
export async function lockRows(url: string, statement: string) {
  const client = new pg.Client({ connectionString: url, application_name: 'psql' });
  try {
    await client.connect();
    await client.query('begin');
    await client.query(statement);
  } catch (error) {
    await client.end();
    throw error;
  }
  let ended: Promise<void> | undefined;
  const release = () => (ended ??= client.end());
  return { release, [Symbol.asyncDispose]: release };
}

/** Returns how many sessions of the database wait for a lock. */
export async function countLockWaits(db: Db): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'
  `.execute(db);
  return rows[0]?.count ?? 0;
}
