import { sql } from 'kysely';
import type { Db } from './database.ts';
import type { LogRange } from './event-log.ts';

/** How far the logs of those of the topics reach that exist. */
export async function readRanges(db: Db, topics: readonly string[]): Promise<ReadonlyMap<string, LogRange>> {
  const rows = await db
    .selectFrom('topics')
    .select(['topic', 'head', 'trimmed'])
    .where('topic', '=', sql<string>`any(${topics}::text[])`)
    .execute();
  return new Map(rows.map(({ topic, head, trimmed }) => [topic, { head, trimmed }]));
}
