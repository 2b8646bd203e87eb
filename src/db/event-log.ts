import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { compileOnce } from './compile-once.ts';
import type { Db, Tx } from './database.ts';
import { encodeSubjects } from './event-subjects.ts';
import type { EventLabels } from './event-subjects.ts';
import { readChanges, renewEpochIfLost } from './log-changes.ts';
import type { Append, LogChanges, LogSnapshot } from './log-changes.ts';
import { findNotedTopics } from './log-trims.ts';
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

/**
 * Consecutive events of a topic's log after a position, with its range at the time of the read. If `trimmed` is beyond
 * the position, events after it were removed.
 */
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
  /**
   * Reads what was committed since a snapshot, in time proportional to that, however many topics there are. Without a
   * snapshot, or if it is of another server, only returns a new one.
   */
  readChanges(since: LogSnapshot | undefined): Promise<LogChanges>;
  /**
   * Renews the epoch if the database, whose server was started again, has lost one of the appends: it was restored from
   * a backup. Returns the present epoch; `known` is the one that this node knows.
   */
  renewEpochIfLost(known: string, appends: readonly Append[]): Promise<string>;
}

export const createEventLog = (db: Db): EventLog => ({
  readRange: (topic) => readRange(db, topic),
  readAfter: (topic, afterSeq, limit) => readAfter(db, topic, afterSeq, limit),
  readHeads: (topics) => readHeads(db, topics),
  readChanges: (since) => readChanges(db, since),
  renewEpochIfLost: (known, appends) => renewEpochIfLost(db, known, appends),
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
 * the heads of the topics that exist. With `waitMs`, this and all later waits for locks in the transaction end after this time.
 */
export async function lockTopics(
  tx: Tx,
  topics: readonly string[],
  waitMs?: number,
): Promise<Map<string, number>> {
  return headsOf(await (waitMs === undefined ? lock(tx, topics) : lockWithin(tx, topics, String(waitMs))));
}

/** Locks those of the topics whose rows no other transaction has locked, without waiting. Returns the others as busy. */
export async function lockFreeTopics(
  tx: Tx,
  topics: readonly string[],
): Promise<{ readonly heads: Map<string, number>; readonly busy: readonly string[] }> {
  const heads = headsOf(await lockFree(tx, topics));
  const skipped = topics.filter((topic) => !heads.has(topic));
  // The others do not exist.
  return { heads, busy: skipped.length === 0 ? [] : [...(await readRanges(tx, skipped)).keys()] };
}

interface Head {
  readonly topic: string;
  readonly head: number;
}

const headsOf = (rows: readonly Head[]): Map<string, number> =>
  new Map(rows.map(({ topic, head }) => [topic, head]));

const selectForUpdate = (db: Db, topics: readonly string[]) =>
  db
    .selectFrom('topics')
    .select(['topic', 'head'])
    .where('topic', '=', anyOfTopics(topics))
    .orderBy('topic')
    .forUpdate();

const lock = compileOnce((db, topics: readonly string[]) => selectForUpdate(db, topics));
const lockFree = compileOnce((db, topics: readonly string[]) => selectForUpdate(db, topics).skipLocked());

/** The limit is set below the sort, and so before the first row is locked. */
const lockWithin = compileOnce(
  (_db, topics: readonly string[], waitMs: string) => sql<Head>`
    with wait as materialized (select set_config('lock_timeout', ${waitMs}, true) as ms)
    select topic, head from wait, topics
    where wait.ms is not null and topic = ${anyOfTopics(topics)}
    order by topic
    for update of topics
  `,
);

const anyOfTopics = (topics: readonly string[]) => sql<string>`any(${topics}::text[])`;

/** An event with its position in the topic's log, before it is stored. */
export type NewLogEntry = Omit<LogEntry, 'at'> & EventLabels;

/** The timestamp of appended entries, and the id of their transaction. */
export interface Appended {
  readonly at: Timestamp;
  readonly transaction: string;
}

/** Appends entries to logs whose locks are held, each at the position after its topic's head. */
export async function append(tx: Tx, entries: readonly NewLogEntry[]): Promise<Appended> {
  const columns = toColumns(entries);
  const notedTopics = findNotedTopics(entries);
  const [appended] = await (notedTopics.length === 0
    ? appendEntries(tx, ...columns)
    : appendAndNote(tx, notedTopics, ...columns));
  if (appended === undefined) throw new Error('The append returned no timestamp');
  return appended;
}

function toColumns(entries: readonly NewLogEntry[]) {
  const heads = new Map(entries.map(({ topic, seq }) => [topic, seq]));
  return [
    entries.map(({ topic }) => topic),
    entries.map(({ seq }) => seq),
    // One JSON text, because the elements of a PostgreSQL array literal would need every quote escaped again.
    JSON.stringify(entries.map(({ event }) => event)),
    entries.map(({ messageId }) => messageId),
    entries.map(({ subjects }) => encodeSubjects(subjects)),
    [...heads.keys()],
    [...heads.values()],
  ] as const;
}

type Columns = ReturnType<typeof toColumns>;

/** Stores the entries. `alsoInserted` is a further part of the statement. */
const insertEntries = (
  alsoInserted: RawBuilder<unknown>,
  [topics, seqs, events, messageIds, subjects, advancedTopics, heads]: Columns,
) => sql<Appended>`
    with clock as materialized (
      select clock_timestamp()::timestamptz(3) as at
    ), stored as (
      insert into events (topic, seq, event, at, message_id, subjects)
      select topic, seq, event, at, message_id, subjects::text[]
      from clock, rows from (
        unnest(${topics}::text[]),
        unnest(${seqs}::bigint[]),
        json_array_elements(${events}::json),
        unnest(${messageIds}::int[]),
        unnest(${subjects}::text[])
      ) as input (topic, seq, event, message_id, subjects)
    )${alsoInserted}, advanced as (
      update topics set head = input.head
      from unnest(${advancedTopics}::text[], ${heads}::bigint[]) as input (topic, head)
      where topics.topic = input.topic
    )
    select at, pg_current_xact_id()::text as transaction from clock
  `;

const appendEntries = compileOnce((_db, ...columns: Columns) => insertEntries(sql``, columns));

/** Also notes the topics for `trimTopics`. */
const appendAndNote = compileOnce((_db, notedTopics: readonly string[], ...columns: Columns) =>
  insertEntries(
    sql`, noted as (insert into log_trims (topic) select unnest(${notedTopics}::text[]))`,
    columns,
  ),
);

export async function readRange(db: Db, topic: string): Promise<LogRange | undefined> {
  return (await readRanges(db, [topic])).get(topic);
}

/** Reads the ranges of the topics that exist. */
export async function readRanges(db: Db, topics: readonly string[]): Promise<Map<string, LogRange>> {
  const rows = await db
    .selectFrom('topics')
    .select(['topic', 'head'])
    .select(
      sql<number>`coalesce((select min(seq) - 1 from events where events.topic = topics.topic), head)`.as(
        'trimmed',
      ),
    )
    .where('topic', '=', anyOfTopics(topics))
    .execute();
  return new Map(rows.map(({ topic, head, trimmed }) => [topic, { head, trimmed }]));
}

export async function readHeads(db: Db, topics: readonly string[]): Promise<Map<string, number>> {
  const rows = await db
    .selectFrom('topics')
    .select(['topic', 'head'])
    .where('topic', '=', anyOfTopics(topics))
    .execute();
  return new Map(rows.map(({ topic, head }) => [topic, head]));
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

/**
 * Reads consecutive events after a position, oldest first, at most `limit`, with the topic's range: in one statement, so
 * that a concurrent removal cannot open a silent gap between the two. Undefined for an unknown topic.
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
    .select(['topics.head', 'page.seq', 'page.event', 'page.at'])
    .where('topics.topic', '=', topic)
    .orderBy('page.seq')
    .execute();
  const first = rows[0];
  if (first === undefined) return undefined;
  const { head } = first;
  const start = first.seq ?? head + 1;
  const entries: LogEntry[] = [];
  for (const { seq, event, at } of rows) {
    // After a hole, which a clock that was set back can leave: the next read begins with it.
    if (seq !== start + entries.length || at === null) break;
    entries.push({ topic, seq, event, at });
  }
  return { range: { head, trimmed: start - 1 }, entries };
}
