import { sql } from 'kysely';
import type { ActorRef } from '../actor.ts';
import type { MessageId } from '../ids.ts';
import type { Db, Tx } from './database.ts';

/** The subjects whose data an event contains. Exactly one of the two is not null. */
export interface EventLabels {
  /** The message, if the event contains one. */
  readonly messageId: MessageId | null;
  /** Topics of the accounts, conversations and circles in any other event. */
  readonly subjects: readonly string[] | null;
}

/** The place of an event in the log. */
export interface EventKey {
  readonly topic: string;
  readonly seq: number;
}

export interface StoredEvent extends EventKey {
  readonly event: unknown;
}

export type LabelledEvent = StoredEvent & EventLabels;

const START: EventKey = { topic: '', seq: 0 };

const isUnlabelled = sql<boolean>`message_id is null and subjects is null`;

/**
 * Serialises transactions that redact events of topics whose locks they do not hold, which would otherwise deadlock
 * with each other and with `trim`.
 */
export async function lockRedaction(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtext('parley redaction'))`.execute(tx);
}

/** Takes the lock of `lockRedaction` if it is free. */
export async function tryLockRedaction(tx: Tx): Promise<boolean> {
  const { rows } = await sql<{ locked: boolean }>`
    select pg_try_advisory_xact_lock(hashtext('parley redaction')) as locked
  `.execute(tx);
  return rows[0]?.locked === true;
}

/** Selects events for update, in order of topic and position, so that concurrent redactions do not deadlock. */
const lockEvents = (tx: Tx) =>
  tx.selectFrom('events').select(['topic', 'seq', 'event']).orderBy('topic').orderBy('seq').forUpdate();

/** Locks and returns the labelled events of messages, in order of topic and position. */
export async function findByMessages(tx: Tx, ids: readonly MessageId[]): Promise<StoredEvent[]> {
  return lockEvents(tx)
    .where('messageId', '=', sql<MessageId>`any(${ids}::int[])`)
    .execute();
}

/** Locks and returns a page of the events of topics, in order of topic and position. */
export async function findByTopics(
  tx: Tx,
  topics: readonly string[],
  limit: number,
  after = START,
): Promise<StoredEvent[]> {
  return lockEvents(tx)
    .where('topic', '=', sql<string>`any(${topics}::text[])`)
    .where(isAfter(after))
    .limit(limit)
    .execute();
}

/** Locks and returns a page of the labelled events with any of these subjects, in order of topic and position. */
export async function findBySubjects(
  tx: Tx,
  subjects: readonly string[],
  limit: number,
  after = START,
): Promise<StoredEvent[]> {
  return lockEvents(tx)
    .where(sql<boolean>`subjects && ${subjects}::text[]`)
    .where(isAfter(after))
    .limit(limit)
    .execute();
}

const isAfter = ({ topic, seq }: EventKey) =>
  sql<boolean>`(topic, seq) > (${topic}::text collate "C", ${seq}::bigint)`;

/** Locks and returns unlabelled events of all topics, except those locked by other transactions if `skipLocked`. */
export async function findUnlabelled(tx: Tx, limit: number, skipLocked: boolean): Promise<StoredEvent[]> {
  return lockEvents(tx)
    .where(isUnlabelled)
    .limit(limit)
    .$if(skipLocked, (query) => query.skipLocked())
    .execute();
}

/** Locks and returns the unlabelled events of a topic. */
export async function findUnlabelledOf(tx: Tx, topic: string): Promise<StoredEvent[]> {
  return lockEvents(tx).where('topic', '=', topic).where(isUnlabelled).execute();
}

/** Returns a page of the messages of an author, in ascending order. */
export async function findIdsByAuthor(
  db: Db,
  actor: ActorRef,
  limit: number,
  after: MessageId,
): Promise<MessageId[]> {
  const author = sql.ref(actor.kind === 'user' ? 'author_user_id' : 'author_device_id');
  const rows = await db
    .selectFrom('messages')
    .select('id')
    .where(sql<boolean>`${author} = ${actor.id}`)
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute();
  return rows.map(({ id }) => id);
}

/** Replaces stored events, which are locked, and their labels. */
export async function replace(tx: Tx, events: readonly LabelledEvent[]): Promise<void> {
  if (events.length === 0) return;
  await sql`
    update events set event = input.event, message_id = input.message_id, subjects = input.subjects::text[]
    from rows from (
      unnest(${events.map(({ topic }) => topic)}::text[]),
      unnest(${events.map(({ seq }) => seq)}::bigint[]),
      unnest(${events.map(({ messageId }) => messageId)}::int[]),
      unnest(${events.map(({ subjects }) => encodeSubjects(subjects))}::text[]),
      json_array_elements(${JSON.stringify(events.map(({ event }) => event))}::json)
    ) as input (topic, seq, message_id, subjects, event)
    where events.topic = input.topic and events.seq = input.seq
  `.execute(tx);
}

/** Encodes subjects as an array literal: PostgreSQL has no arrays of arrays of different lengths. */
export const encodeSubjects = (subjects: readonly string[] | null): string | null =>
  subjects === null ? null : `{${subjects.join(',')}}`;
