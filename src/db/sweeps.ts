import { sql } from 'kysely';
import type { Db } from './database.ts';

/**
 * Claims work that one node of the cluster does at a time, for a time. Returns false unless it is due. Work that is due
 * later than any claim allows was claimed before the clock of the database was set back.
 */
export async function claimSweep(db: Db, name: string, claimMs: number): Promise<boolean> {
  const { rows } = await sql`
    insert into sweeps (name, due_at) values (${name}, clock_timestamp() + ${claimMs} * interval '1 millisecond')
    on conflict (name) do update set due_at = excluded.due_at
      where sweeps.due_at not between clock_timestamp() and excluded.due_at
    returning 1
  `.execute(db);
  return rows.length > 0;
}

/** Sets when claimed work is due again. */
export async function postponeSweep(db: Db, name: string, ms: number): Promise<void> {
  await sql`
    update sweeps set due_at = clock_timestamp() + ${ms} * interval '1 millisecond' where name = ${name}
  `.execute(db);
}
