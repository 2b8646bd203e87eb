import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Tables } from './tables.ts';

/** A node that runs sends the next statement of a transaction within milliseconds. */
const FROZEN_AFTER = sql`interval '500 milliseconds'`;

/**
 * Ends the sessions of nodes that sit idle in a transaction while a session of a node waits for their locks: the node is
 * frozen or gone. A node that was only slow loses a transaction that it had not committed. Returns their number.
 */
export async function endFrozenSessions(db: Kysely<Tables>): Promise<number> {
  const { rows } = await sql<{ ended: boolean }>`
    with sessions as materialized (
      select pid, state, state_change, wait_event_type from pg_stat_activity
      where datname = current_database() and usename = current_user
        and application_name = current_setting('application_name')
    )
    select pg_terminate_backend(pid) as ended from sessions
    where state like 'idle in transaction%' and state_change < clock_timestamp() - ${FROZEN_AFTER}
      and pid in (select unnest(pg_blocking_pids(pid)) from sessions where wait_event_type = 'Lock')
  `.execute(db);
  return rows.length;
}
