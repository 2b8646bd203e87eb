import { sql } from 'kysely';
import type { Db, Tx } from './database.ts';
import { tryLockRedaction } from './event-subjects.ts';

// Counts of events per topic are kept without a look at all topics: appends note the topics that may have too many.

/** A topic is noted with each event whose position is a multiple of this. */
const NOTE_INTERVAL = 16;
/** Topics per transaction, in addition to the limit of events. */
const TOPIC_BATCH_SIZE = 500;

/** Returns the topics of new entries that an append notes, for `trimTopics` to look at. */
export const findNotedTopics = (
  entries: readonly { readonly topic: string; readonly seq: number }[],
): readonly string[] => entries.filter(({ seq }) => seq % NOTE_INTERVAL === 0).map(({ topic }) => topic);

/**
 * Deletes events that are more than `keep` positions behind their topic's head, at most `limit` of them, in topics that
 * were noted. Deletes nothing during a large redaction. Returns the number of notes and events it has handled.
 */
export async function trimTopics(db: Db, keep: number, limit: number): Promise<number> {
  return db.transaction().execute(async (tx) => {
    if (!(await tryLockRedaction(tx))) return 0;
    const { rows: notes } = await sql<{ id: number; topic: string; excess: number | null }>`
      with noted as (
        select id, topic from log_trims order by id limit ${TOPIC_BATCH_SIZE} for update skip locked
      )
      select id, topic, head - ${keep}::bigint as excess from noted left join topics using (topic)
    `.execute(tx);
    const excesses = new Map(notes.map(({ topic, excess }) => [topic, excess ?? 0]));
    const unfinished = new Set<string>();
    let removed = 0;
    for (const [topic, upTo] of excesses) {
      if (upTo > 0) removed += await deleteOldest(tx, topic, upTo, limit - removed);
      // Topics after this one may have no further events to remove: the next call will tell.
      if (removed >= limit) unfinished.add(topic);
    }
    const handled = notes.filter(({ topic }) => !unfinished.has(topic)).map(({ id }) => id);
    await tx
      .deleteFrom('logTrims')
      .where('id', '=', sql<number>`any(${handled}::bigint[])`)
      .execute();
    return handled.length + removed;
  });
}

/** Deletes the oldest events of a topic, up to a position, at most `limit`. Returns their number. */
async function deleteOldest(tx: Tx, topic: string, upTo: number, limit: number): Promise<number> {
  if (limit <= 0) return 0;
  const { numAffectedRows } = await sql`
    delete from events where topic = ${topic} and seq <= least(
      ${upTo}::bigint, (select min(seq) from events where topic = ${topic}) + ${limit}::bigint - 1
    )
  `.execute(tx);
  return Number(numAffectedRows ?? 0n);
}
