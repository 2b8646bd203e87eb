import { sql } from 'kysely';
import type { Db } from './database.ts';
import { tryLockRedaction } from './event-subjects.ts';

// Counts of events per topic are kept without a look at all topics: appends note the topics that may have too many.

/** A topic is noted with each event whose position is a multiple of this. */
const NOTE_INTERVAL = 16;
/** Events of a topic that are removed in a transaction: about what it has too many when it is looked at as often as noted. */
const EVENTS_PER_TOPIC = 2 * NOTE_INTERVAL;
/** Notes that are handled in a transaction. */
const NOTES = 125;

/** Returns the topics of new entries that an append notes, for `trimTopics` to look at. */
export const findNotedTopics = (
  entries: readonly { readonly topic: string; readonly seq: number }[],
): readonly string[] => entries.filter(({ seq }) => seq % NOTE_INTERVAL === 0).map(({ topic }) => topic);

/**
 * Deletes events that are more than `keep` positions behind their topic's head, the oldest first, in topics that were noted:
 * some of each, until a later call finds no more. Deletes nothing during a large redaction. Returns the number of notes and
 * events it has handled, 0 at the end.
 */
export async function trimTopics(db: Db, keep: number, notes = NOTES): Promise<number> {
  return db.transaction().execute(async (tx) => {
    if (!(await tryLockRedaction(tx))) return 0;
    // One statement for all topics: planned and started for each, deletions cost twice as much.
    const { rows } = await sql<{ handled: number }>`
      with noted as materialized (
        select id, topic from log_trims order by id limit ${notes} for update skip locked
      ), due as materialized (
        select topic, head - ${keep}::bigint as last, least(head - ${keep}::bigint, first + ${EVENTS_PER_TOPIC - 1}) as up_to
        from (select distinct topic from noted) as topic_names join topics using (topic),
          lateral (select min(seq) as first from events where events.topic = topics.topic) as stored
        where head > ${keep}::bigint and first is not null
      ), removed as (
        delete from events using due where events.topic = due.topic and events.seq <= due.up_to returning 1
      ), handled as (
        delete from log_trims using noted where log_trims.id = noted.id
          and not exists (select from due where due.topic = noted.topic and up_to < last)
        returning 1
      )
      select ((select count(*) from removed) + (select count(*) from handled))::int as handled
    `.execute(tx);
    return rows[0]?.handled ?? 0;
  });
}
