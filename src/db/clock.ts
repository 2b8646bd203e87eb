import { sql } from 'kysely';
import type { Db } from './database.ts';

/** Returns the time of the database's clock, in milliseconds since 1970. */
export async function readClock(db: Db): Promise<number> {
  const { rows } = await sql<{ ms: number }>`
    select extract(epoch from clock_timestamp())::float8 * 1000 as ms
  `.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error('The query returned no time');
  return row.ms;
}
