import { hostname } from 'node:os';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Tables } from './tables.ts';

const PREFIX = 'parley ';
/** PostgreSQL truncates longer names. */
const MAX_NAME_LENGTH = 63;

/** Name of the sessions of this process, for `pg_stat_activity`: those of a node end together. */
export const APPLICATION_NAME = `${PREFIX}${process.pid}@${hostname()}`.slice(0, MAX_NAME_LENGTH);

/** Whether a row of `pg_stat_activity` is a session of a node. */
export const isNodeSession = sql`usename = current_user
  and (application_name = current_setting('application_name') or starts_with(application_name, ${PREFIX}))`;

/** A node sends the next statement of a transaction within milliseconds, or after a stall of its event loop. */
const FROZEN_AFTER = sql`interval '600 milliseconds'`;

/**
 * Ends the transactions of nodes that have one idle while a session of a node waits for its locks: the node is frozen or
 * disconnected, and would not use the locks for which its other sessions wait. A node that was only slow loses
 * transactions that it had not committed. Of this node, only idle transactions end. Returns the number of sessions.
 *
 * `pg_blocking_pids` holds up every transaction that takes a lock: it is called by one node at a time, and only while a
 * transaction is idle for that long.
 */
export async function endFrozenSessions(db: Kysely<Tables>): Promise<number> {
  const { rows } = await sql<{ ended: boolean }>`
    with turn as materialized (
      select pg_try_advisory_xact_lock(hashtext('parley frozen sessions')) as "isOurs"
    ), sessions as materialized (
      select pid, application_name as node, application_name <> current_setting('application_name') as "isOther",
        wait_event_type = 'Lock' as waits, state like 'idle in transaction%' as idle,
        state_change < clock_timestamp() - ${FROZEN_AFTER} as long
      from pg_stat_activity
      where datname = current_database() and ${isNodeSession}
    ), frozen as (
      select node, pid from sessions
      where idle and long and pid in (
        select unnest(pg_blocking_pids(pid)) from sessions
        where waits and (select "isOurs" from turn) and exists (select from sessions where idle and long)
      )
    )
    select pg_terminate_backend(pid) as ended from sessions
    where pid in (select pid from frozen)
      or "isOther" and (idle or waits) and node in (select node from frozen)
  `.execute(db);
  return rows.length;
}
