import { sql } from 'kysely';
import type { Db, Tx } from './database.ts';
import { encodeSubjects, tryLockRedaction } from './event-subjects.ts';
import type { EventLabels } from './event-subjects.ts';
import type { Timestamp } from './tables.ts';

/** An event as stored in the log. Only `events/` interprets the event. */
export interface LogEntry {
  readonly topic: string;
  readonly seq: number;
  readonly event: unknown;
  readonly at: Timestamp;
}

/** The range of a topic's log: it contains positions `trimmed + 1` to `head`. */
export interface LogRange {
  readonly head: number;
  readonly trimmed: number;
}

/** Consecutive events of a topic's log, with its range at the time of the read. */
export interface LogPage {
  readonly range: LogRange;
  readonly entries: readonly LogEntry[];
}

/** The read operations of the log. */
export interface EventLog {
  /** Undefined for an unknown topic. */
  readRange(topic: string): Promise<LogRange | undefined>;
  /** Reads events after a position, oldest first, at most `limit`. Undefined for an unknown topic. */
  readAfter(topic: string, afterSeq: number, limit: number): Promise<LogPage | undefined>;
  /** Reads the heads of the topics that exist. */
  readHeads(topics: readonly string[]): Promise<ReadonlyMap<string, number>>;
}

export const createEventLog = (db: Db): EventLog => ({
  readRange: (topic) => readRange(db, topic),
  readAfter: (topic, afterSeq, limit) => readAfter(db, topic, afterSeq, limit),
  readHeads: (topics) => readHeads(db, topics),
});

/** Creates the logs of new topics. */
export async function createTopics(tx: Tx, topics: readonly string[]): Promise<void> {
  await tx
    .insertInto('topics')
    .values(topics.map((topic) => ({ topic })))
    .execute();
}

/**
 * Locks the topics' rows in order of name until the transaction ends: no other transaction can append to them. Returns
 * the heads of the topics that exist.
 */
export async function lockTopics(tx: Tx, topics: readonly string[]): Promise<Map<string, number>> {
  const rows = await tx
    .selectFrom('topics')
    .select(['topic', 'head'])
    .where('topic', '=', anyOfTopics(topics))
    .orderBy('topic')
    .forUpdate()
    .execute();
  return new Map(rows.map((row) => [row.topic, row.head]));
}

const anyOfTopics = (topics: readonly string[]) => sql<string>`any(${topics}::text[])`;

/** An event with its position in the topic's log, before it is stored. */
export type NewLogEntry = Omit<LogEntry, 'at'> & EventLabels;

/** Appends entries to logs whose locks are held, each at the position after its topic's head. Returns their timestamp. */
export async function append(tx: Tx, entries: readonly NewLogEntry[]): Promise<Timestamp> {
  const heads = new Map(entries.map(({ topic, seq }) => [topic, seq]));
  // One JSON text, because the elements of a PostgreSQL array literal would need every quote escaped again.
  const events = JSON.stringify(entries.map(({ event }) => event));
  const { rows } = await sql<{ at: Timestamp }>`
    with clock as materialized (
      select clock_timestamp()::timestamptz(3) as at
    ), stored as (
      insert into events (topic, seq, event, at, message_id, subjects)
      select topic, seq, event, at, message_id, subjects::text[]
      from clock, rows from (
        unnest(${entries.map(({ topic }) => topic)}::text[]),
        unnest(${entries.map(({ seq }) => seq)}::bigint[]),
        json_array_elements(${events}::json),
        unnest(${entries.map(({ messageId }) => messageId)}::int[]),
        unnest(${entries.map(({ subjects }) => encodeSubjects(subjects))}::text[])
      ) as input (topic, seq, event, message_id, subjects)
    ), advanced as (
      update topics set head = input.head
      from unnest(${[...heads.keys()]}::text[], ${[...heads.values()]}::bigint[]) as input (topic, head)
      where topics.topic = input.topic
    )
    select at from clock
  `.execute(tx);
  const [clock] = rows;
  if (clock === undefined) throw new Error('The append returned no timestamp');
  return clock.at;
}

export async function readRange(db: Db, topic: string): Promise<LogRange | undefined> {
  return (await readRanges(db, [topic])).get(topic);
}

/** Reads the ranges of the topics that exist. */
export async function readRanges(db: Db, topics: readonly string[]): Promise<Map<string, LogRange>> {
  if (topics.length === 0) return new Map();
  const rows = await db
    .selectFrom('topics')
    .select(['topic', 'head', 'trimmed'])
    .where('topic', '=', anyOfTopics(topics))
    .execute();
  return new Map(rows.map(({ topic, head, trimmed }) => [topic, { head, trimmed }]));
}

/** Returns the time `days` days ago by the clock of the database, which also timestamps events. */
export async function daysBeforeNow(db: Db, days: number): Promise<Timestamp> {
  const { rows } = await sql<{ at: Timestamp }>`
    select (clock_timestamp() - ${days} * interval '1 day')::timestamptz(3) as at
  `.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error('The query returned no timestamp');
  return row.at;
}

export async function readHeads(db: Db, topics: readonly string[]): Promise<Map<string, number>> {
  const ranges = await readRanges(db, topics);
  return new Map([...ranges].map(([topic, { head }]) => [topic, head]));
}

/**
 * Reads events after a position, oldest first, at most `limit`, with the topic's range: in one statement, so that a
 * concurrent trim cannot open a silent gap between the two. Undefined for an unknown topic.
 */
export async function readAfter(
  db: Db,
  topic: string,
  afterSeq: number,
  limit: number,
): Promise<LogPage | undefined> {
  const rows = await db
    .selectFrom('topics')
    .leftJoin(
      (inner) =>
        inner
          .selectFrom('events')
          .select(['seq', 'event', 'at'])
          .where('topic', '=', topic)
          .where('seq', '>', afterSeq)
          .orderBy('seq')
          .limit(limit)
          .as('page'),
      (join) => join.onTrue(),
    )
    .select(['topics.head', 'topics.trimmed', 'page.seq', 'page.event', 'page.at'])
    .where('topics.topic', '=', topic)
    .orderBy('page.seq')
    .execute();
  const first = rows[0];
  if (first === undefined) return undefined;
  const entries = rows.flatMap(({ seq, event, at }) =>
    seq === null || at === null ? [] : [{ topic, seq, event, at }],
  );
  return { range: { head: first.head, trimmed: first.trimmed }, entries };
}

/**
 * Deletes about `limit` events that are older than `before`, or more than `keep` positions behind their topic's head.
 * Never waits for writers: skips locked topics, deletes nothing during a large redaction, and holds the locks of the
 * others for one short transaction. Returns the number of deleted events.
 */
export async function trim(db: Db, before: Timestamp, keep: number, limit: number): Promise<number> {
  return db.transaction().execute(async (tx) => {
    if (!(await tryLockRedaction(tx))) return 0;
    const { rows } = await sql<{ topic: string; upTo: number }>`
      select topics.topic, greatest(
        topics.head - ${keep}::bigint,
        coalesce((select max(seq) from events where events.topic = topics.topic and events.at < ${before}::timestamptz), 0)
      ) as up_to
      from topics
      where topics.topic in (select topic from events where at < ${before}::timestamptz limit ${limit})
        or topics.head - topics.trimmed > ${keep}::bigint
      limit 100
      for update skip locked
    `.execute(tx);
    let removed = 0;
    for (const { topic, upTo } of rows) {
      if (removed >= limit) break;
      removed += await trimTopic(tx, topic, upTo, limit - removed);
    }
    return removed;
  });
}

async function trimTopic(tx: Tx, topic: string, upTo: number, limit: number): Promise<number> {
  const { rows } = await sql<{ trimmed: number; removed: number }>`
    with removed as (
      delete from events where topic = ${topic} and seq in (
        select seq from events where topic = ${topic} and seq <= ${upTo}::bigint order by seq limit ${limit}
      )
      returning seq
    )
    update topics set trimmed = counted.last
    from (select max(seq) as last, count(*) as removed from removed) as counted
    where topics.topic = ${topic} and counted.last is not null
    returning counted.removed
  `.execute(tx);
  return rows[0]?.removed ?? 0;
}
