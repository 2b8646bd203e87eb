import { sql } from 'kysely';
import type { Db, Tx } from './database.ts';
import type { Timestamp } from './tables.ts';

/** A line of the log as stored; `events/` knows what the event means. */
export interface LogLine {
  readonly topic: string;
  readonly seq: number;
  readonly event: unknown;
  readonly at: Timestamp;
}

/** How far a topic's log reaches: positions `trimmed + 1` to `head` are in it. */
export interface LogRange {
  readonly head: number;
  readonly trimmed: number;
}

/** A part of a topic's log, with the range it was read in. */
export interface LogPage {
  readonly range: LogRange;
  readonly lines: readonly LogLine[];
}

/** The reading side of the log. */
export interface EventLog {
  /** How far the topic's log reaches; undefined when there is no such topic. */
  readRange(topic: string): Promise<LogRange | undefined>;
  /** Events after a position, oldest first, at most `limit`; undefined when there is no such topic. */
  readAfter(topic: string, position: number, limit: number): Promise<LogPage | undefined>;
  /** The heads of those of the topics that exist. */
  readHeads(topics: readonly string[]): Promise<ReadonlyMap<string, number>>;
}

export const createEventLog = (db: Db): EventLog => ({
  readRange: (topic) => readRange(db, topic),
  readAfter: (topic, position, limit) => readAfter(db, topic, position, limit),
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
 * Takes the topics' row locks, in order of name, until the transaction ends: whoever holds them all decides alone
 * what comes next there. Answers the heads of those that exist.
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

/** An event with the place that it takes in its topic's log. */
export type NewLine = Omit<LogLine, 'at'>;

/** Adds lines to logs whose locks are held, each at the place after its topic's head. Answers their moment. */
export async function append(tx: Tx, lines: readonly NewLine[]): Promise<Timestamp> {
  const heads = new Map(lines.map(({ topic, seq }) => [topic, seq]));
  // One text, because in an array of the database's every quote of every event would be escaped once more.
  const events = JSON.stringify(lines.map((line) => line.event));
  const { rows } = await sql<{ at: Timestamp }>`
    with moment as materialized (
      select clock_timestamp()::timestamptz(3) as at
    ), stored as (
      insert into events (topic, seq, event, at)
      select topic, seq, event, at
      from moment, rows from (
        unnest(${lines.map(({ topic }) => topic)}::text[]),
        unnest(${lines.map(({ seq }) => seq)}::bigint[]),
        json_array_elements(${events}::json)
      ) as given (topic, seq, event)
    ), advanced as (
      update topics set head = given.head
      from unnest(${[...heads.keys()]}::text[], ${[...heads.values()]}::bigint[]) as given (topic, head)
      where topics.topic = given.topic
    )
    select at from moment
  `.execute(tx);
  const [moment] = rows;
  if (moment === undefined) throw new Error('The log has no clock');
  return moment.at;
}

/** How far the topic's log reaches; undefined when there is no such topic. */
export async function readRange(db: Db, topic: string): Promise<LogRange | undefined> {
  return (await readRanges(db, [topic])).get(topic);
}

/** How far the logs of those of the topics reach that exist. */
export async function readRanges(db: Db, topics: readonly string[]): Promise<Map<string, LogRange>> {
  if (topics.length === 0) return new Map();
  const rows = await db
    .selectFrom('topics')
    .select(['topic', 'head', 'trimmed'])
    .where('topic', '=', anyOfTopics(topics))
    .execute();
  return new Map(rows.map(({ topic, head, trimmed }) => [topic, { head, trimmed }]));
}

/** The time so many days ago, by the clock that gives events their times. */
export async function daysBeforeNow(db: Db, days: number): Promise<Timestamp> {
  const { rows } = await sql<{ at: Timestamp }>`
    select (clock_timestamp() - ${days} * interval '1 day')::timestamptz(3) as at
  `.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error('The database has no clock');
  return row.at;
}

/** The heads of several topics, for a snapshot of them or to notice a lost announcement. */
export async function readHeads(db: Db, topics: readonly string[]): Promise<Map<string, number>> {
  const ranges = await readRanges(db, topics);
  return new Map([...ranges].map(([topic, { head }]) => [topic, head]));
}

/**
 * Events after a position, oldest first, at most `limit`, with the range they were read in: in one statement, so
 * that a concurrent trim cannot open a silent hole between the two. Undefined when there is no such topic.
 */
export async function readAfter(
  db: Db,
  topic: string,
  position: number,
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
          .where('seq', '>', position)
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
  const lines = rows.flatMap(({ seq, event, at }) =>
    seq === null || at === null ? [] : [{ topic, seq, event, at }],
  );
  return { range: { head: first.head, trimmed: first.trimmed }, lines };
}

/**
 * Removes events that are older than `before`, or further than `keep` behind their topic's head, about `limit` of
 * them in one go. Writers are not kept waiting: only topics that nobody has locked are touched, and not for long.
 * Answers how many were removed.
 */
export async function trim(db: Db, before: Timestamp, keep: number, limit: number): Promise<number> {
  return db.transaction().execute(async (tx) => {
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
