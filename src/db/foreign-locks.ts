import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import { isNodeSession } from './frozen-sessions.ts';
import type { Tables } from './tables.ts';

/** Longest wait for a lock of another program that others may have to share. */
const MAX_SHARED_WAIT = sql`interval '500 milliseconds'`;

/**
 * Cancels statements of this process that wait for locks of other programs and hold up others: those that hold locks of
 * topics, and the newest ones beyond `maxWaits`, which would leave too few connections. Returns the number of statements.
 *
 * `pg_blocking_pids` and `pg_locks` hold up every transaction that takes a lock: they are called by one node at a time,
 * and only if a statement waits for that long while another program has a transaction.
 */
export async function cancelHarmfulWaits(db: Kysely<Tables>, maxWaits: number): Promise<number> {
  const { rows } = await sql`
    with recursive turn as materialized (
      select pg_try_advisory_xact_lock(hashtext('parley foreign locks')) as "isOurs"
    ), others as materialized (
      select from pg_stat_activity
      where datname = current_database() and backend_type = 'client backend' and state is distinct from 'idle'
        and not (${isNodeSession})
      union all
      select from pg_prepared_xacts where database = current_database()
    ), waiting as materialized (
      select pid, query_start, pg_blocking_pids(pid) as blockers
      from pg_stat_activity
      where datname = current_database() and usename = current_user
        and application_name = current_setting('application_name')
        and wait_event_type = 'Lock' and query_start < clock_timestamp() - ${MAX_SHARED_WAIT}
        and exists (select from others) and (select "isOurs" from turn)
    ), held as (
      select pid, query_start, blockers from waiting
      where exists (
        select from unnest(blockers) as blocker (pid)
        where not exists (select from pg_stat_activity where pid = blocker.pid and ${isNodeSession})
      )
      union
      select waiting.pid, waiting.query_start, waiting.blockers
      from waiting join held on held.pid = any(waiting.blockers)
    ), numbered as (
      select pid, row_number() over (order by query_start) as position from held
    ), topic_locks as materialized (
      select pid, locktype from pg_locks
      where relation = 'topics'::regclass and exists (select from held)
    )
    select pg_cancel_backend(pid) from numbered
    where position > ${maxWaits}
      -- The lock of a table is held until the transaction ends, that of a row only while it waits for this row.
      or pid in (select pid from topic_locks where locktype = 'relation')
        and pid not in (select pid from topic_locks where locktype = 'tuple')
  `.execute(db);
  return rows.length;
}
