import { sql } from 'kysely';
import type { Tx } from './database.ts';

/** Rows that one call removes at most, so that the table stays small without a sweep. */
const CLEANUP_LIMIT = 20;

export interface HourlyCount {
  readonly subject: string;
  /** Including this use. */
  readonly count: number;
  /** Time until the count starts again. */
  readonly resetMs: number;
}

/**
 * Counts one use of each subject in the present hour, over all nodes. The rows are locked in order of the subjects, and
 * a transaction that fails counts nothing.
 */
export async function countUses(tx: Tx, subjects: readonly string[]): Promise<HourlyCount[]> {
  await sql`
    delete from hourly_counts where (subject, hour) in (
      select subject, hour from hourly_counts
      where hour < now() - interval '2 hours' limit ${CLEANUP_LIMIT} for update skip locked
    )
  `.execute(tx);
  const { rows } = await sql<HourlyCount>`
    insert into hourly_counts (subject, hour, count)
    select subject, date_trunc('hour', now()), 1
    from unnest(${subjects}::text[]) as input (subject)
    order by subject collate "C"
    on conflict (subject, hour) do update set count = hourly_counts.count + 1
    returning
      subject,
      count,
      ceil(1000 * extract(epoch from hour + interval '1 hour' - now()))::int as reset_ms
  `.execute(tx);
  return rows;
}
