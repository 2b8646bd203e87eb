import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { ActorKind, ActorRef } from '../actor.ts';
import type { CallId, CallParticipantId, ConversationId } from '../ids.ts';
import { toActorRef } from './actors.ts';
import { accessCondition } from './conversation-access.ts';
import type { Db, Tx } from './database.ts';
import { anyOf } from './sql.ts';
import type { Call, CallParticipant, Timestamp } from './tables.ts';

/** Time until a participant has left whose node does not extend its participation. */
const LEASE = sql`interval '10 seconds'`;
/** Time to connect again after the connection has closed. */
const GRACE = sql`interval '8 seconds'`;

export const CALL_COLUMNS = ['calls.id', 'calls.conversationId', 'calls.startedAt'] as const;
const PARTICIPANT_COLUMNS = [
  'callParticipants.id',
  'callParticipants.callId',
  'callParticipants.actorKind',
  'callParticipants.actorId',
  'callParticipants.joinedAt',
] as const;

interface ParticipantRow {
  readonly id: CallParticipantId;
  readonly callId: CallId;
  readonly actorKind: ActorKind;
  readonly actorId: number;
  readonly joinedAt: Timestamp;
}

const toParticipant = ({ id, callId, joinedAt, ...actor }: ParticipantRow): CallParticipant => ({
  id,
  callId,
  actor: toActorRef(actor),
  joinedAt,
});

/** SQL condition: the actor joined as the participant. */
export const isBy = ({ kind, id }: ActorRef) => sql<boolean>`(actor_kind, actor_id) = (${kind}, ${id})`;

const accessOf = (kind: ActorKind) =>
  accessCondition(
    { kind, id: sql.ref<number>('call_participants.actor_id') },
    sql.ref('calls.conversation_id'),
  );

/**
 * SQL condition: the account of the participant has access to the conversation of its call. Scalar subqueries, which use an
 * index for each participant: instead of the conditions alone, PostgreSQL may read the access of all accounts.
 */
const hasAccess = sql<boolean>`case actor_kind
  when 'user' then (select ${accessOf('user')}) else (select ${accessOf('device')})
end`;

/** Creates the log of a conversation's calls, if it has none. */
export async function createLog(db: Db, topic: string): Promise<void> {
  await db
    .insertInto('topics')
    .values({ topic })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

export const findCallIn = (db: Db, id: ConversationId): Promise<Call | undefined> =>
  db.selectFrom('calls').select(CALL_COLUMNS).where('conversationId', '=', id).executeTakeFirst();

/** Finds the calls that the actor has access to, or the one of a conversation. */
export async function findCalls(
  db: Db,
  actor: ActorRef,
  conversationId: ConversationId | null,
): Promise<Call[]> {
  return db
    .selectFrom('calls')
    .select(CALL_COLUMNS)
    .where(accessCondition(actor, sql.ref<ConversationId>('calls.conversation_id')))
    .$if(conversationId !== null, (query) => query.where('conversationId', '=', conversationId))
    .orderBy('id')
    .execute();
}

/** Finds a call, if the actor has access to its conversation. */
export const findAccessibleCall = (db: Db, actor: ActorRef, id: CallId): Promise<Call | undefined> =>
  db
    .selectFrom('calls')
    .select(CALL_COLUMNS)
    .where('id', '=', id)
    .where(accessCondition(actor, sql.ref<ConversationId>('calls.conversation_id')))
    .executeTakeFirst();

/** Finds the participants of calls in order of joining, but for those whose access has ended. */
export async function findParticipants(db: Db, ids: readonly CallId[]): Promise<CallParticipant[]> {
  const rows = await db
    .selectFrom('callParticipants')
    .innerJoin('calls', 'calls.id', 'callParticipants.callId')
    .select(PARTICIPANT_COLUMNS)
    .where('callId', '=', anyOf(ids))
    .where(hasAccess)
    .orderBy('callParticipants.id')
    .execute();
  return rows.map(toParticipant);
}

/** Finds a participant, if the actor has access to its conversation. */
export async function findAccessibleParticipant(
  db: Db,
  actor: ActorRef,
  id: CallParticipantId,
): Promise<CallParticipant | undefined> {
  const row = await db
    .selectFrom('callParticipants')
    .innerJoin('calls', 'calls.id', 'callParticipants.callId')
    .select(PARTICIPANT_COLUMNS)
    .where('callParticipants.id', '=', id)
    .where(accessCondition(actor, sql.ref<ConversationId>('calls.conversation_id')))
    .executeTakeFirst();
  return row && toParticipant(row);
}

export const insertCall = (tx: Tx, conversationId: ConversationId): Promise<Call> =>
  tx.insertInto('calls').values({ conversationId }).returning(CALL_COLUMNS).executeTakeFirstOrThrow();

export const removeCall = async (tx: Tx, id: CallId): Promise<void> => {
  await tx.deleteFrom('calls').where('id', '=', id).execute();
};

export const countParticipants = async (tx: Tx, id: CallId): Promise<number> => {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from call_participants where call_id = ${id}
  `.execute(tx);
  return rows[0]?.count ?? 0;
};

export interface NewParticipant {
  readonly callId: CallId;
  readonly actor: ActorRef;
  readonly isLegacy: boolean;
  readonly idempotencyKey: string | null;
  readonly nodeId: string;
}

export async function insertParticipant(tx: Tx, participant: NewParticipant): Promise<CallParticipant> {
  const { actor, ...values } = participant;
  const row = await tx
    .insertInto('callParticipants')
    .values({
      ...values,
      actorKind: actor.kind,
      actorId: actor.id,
      expiresAt: sql<Timestamp>`clock_timestamp() + ${LEASE}`,
    })
    .returning(PARTICIPANT_COLUMNS)
    .executeTakeFirstOrThrow();
  return toParticipant(row);
}

/** Finds the participant that the actor joined with an idempotency key; with null, by `webrtc_forward`. */
export async function findJoined(
  tx: Tx,
  callId: CallId,
  actor: ActorRef,
  key: string | null,
): Promise<CallParticipant | undefined> {
  const row = await tx
    .selectFrom('callParticipants')
    .select(PARTICIPANT_COLUMNS)
    .where('callId', '=', callId)
    .where(isBy(actor))
    .where(key === null ? sql<boolean>`is_legacy` : sql<boolean>`idempotency_key = ${key}`)
    .executeTakeFirst();
  return row && toParticipant(row);
}

/** Finds the call of a participant, if the actor joined it. */
export const findCallOfParticipant = (
  db: Db,
  actor: ActorRef,
  id: CallParticipantId,
): Promise<Call | undefined> =>
  db
    .selectFrom('callParticipants')
    .innerJoin('calls', 'calls.id', 'callParticipants.callId')
    .select(CALL_COLUMNS)
    .where('callParticipants.id', '=', id)
    .where(isBy(actor))
    .executeTakeFirst();

/** Removes a participant. */
export async function removeParticipant(tx: Tx, id: CallParticipantId): Promise<CallParticipant | undefined> {
  const row = await tx
    .deleteFrom('callParticipants')
    .where('id', '=', id)
    .returning(PARTICIPANT_COLUMNS)
    .executeTakeFirst();
  return row && toParticipant(row);
}

/** Removes the last participant of a call if it is a legacy client. */
export async function removeOnlyLegacyParticipant(
  tx: Tx,
  callId: CallId,
): Promise<CallParticipant | undefined> {
  const row = await tx
    .deleteFrom('callParticipants')
    .where('callId', '=', callId)
    .where('isLegacy', '=', true)
    .where(sql<boolean>`(select count(*) from call_participants where call_id = ${callId}) = 1`)
    .returning(PARTICIPANT_COLUMNS)
    .executeTakeFirst();
  return row && toParticipant(row);
}

export interface RemovedParticipant {
  readonly participant: CallParticipant;
  /** Whether its account has lost access to the conversation. */
  readonly lostAccess: boolean;
}

/** Removes the participants of a call whose lease has expired, or whose access has ended. */
export async function removeExpired(tx: Tx, callId: CallId): Promise<RemovedParticipant[]> {
  const { rows } = await sql<ParticipantRow & { readonly lostAccess: boolean }>`
    with expired as (
      select call_participants.id, not ${hasAccess} as lost_access
      from call_participants join calls on calls.id = call_id
      where call_id = ${callId} and (expires_at < clock_timestamp() or not ${hasAccess})
    )
    delete from call_participants using expired
    -- Compared again, on the row that a concurrent claim has extended.
    where call_participants.id = expired.id and (lost_access or expires_at < clock_timestamp())
    returning call_participants.id, call_id, actor_kind, actor_id, joined_at, lost_access
  `.execute(tx);
  return rows.map(({ lostAccess, ...row }) => ({ participant: toParticipant(row), lostAccess }));
}

/**
 * Finds the conversations with participants whose lease has expired, or, of this node's, whose access has ended. Those of a node
 * that does not look for them expire.
 */
export async function findConversationsWithExpired(
  db: Db,
  nodeId: string,
  limit: number,
): Promise<ConversationId[]> {
  const { rows } = await sql<{ conversationId: ConversationId }>`
    select distinct conversation_id
    from call_participants join calls on calls.id = call_id
    where expires_at < clock_timestamp() or (node_id = ${nodeId} and not ${hasAccess})
    limit ${limit}
  `.execute(db);
  return rows.map(({ conversationId }) => conversationId);
}

export interface RenewedLeases {
  /** The participants that this node still extends. */
  readonly ids: readonly CallParticipantId[];
  /** Time of the database in milliseconds. */
  readonly nowMs: number;
}

/** Extends participations that this node has. Skips rows that are locked. */
export async function renewLeases(
  db: Db,
  nodeId: string,
  ids: readonly CallParticipantId[],
): Promise<RenewedLeases> {
  const { rows } = await sql<RenewedLeases>`
    with own as materialized (
      select id from call_participants where id = ${anyOf(ids)} and node_id = ${nodeId}
    ), renewed as (
      update call_participants set expires_at = clock_timestamp() + ${LEASE}
      where id in (select id from call_participants where id in (select id from own) for update skip locked)
    )
    select coalesce((select array_agg(id) from own), '{}') as ids,
      (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms
  `.execute(db);
  return rows[0] ?? { ids: [], nowMs: 0 };
}

/** Makes participations of this node expire: after the grace period, or immediately. */
export async function expireLeases(
  db: Db,
  nodeId: string,
  ids: readonly CallParticipantId[],
  isImmediate: boolean,
): Promise<void> {
  const expiry: RawBuilder<unknown> = isImmediate
    ? sql`clock_timestamp() - interval '1 millisecond'`
    : sql`clock_timestamp() + ${GRACE}`;
  await sql`
    update call_participants set expires_at = ${expiry} where id = ${anyOf(ids)} and node_id = ${nodeId}
  `.execute(db);
}

/** Moves a participation of the actor to this node, and extends it. Returns whether it is not over. */
export async function claimLease(
  db: Db,
  nodeId: string,
  actor: ActorRef,
  { participantId, conversationId }: ClaimedParticipant,
): Promise<boolean> {
  const { rows } = await sql`
    update call_participants set node_id = ${nodeId}, expires_at = clock_timestamp() + ${LEASE}
    from calls
    where call_participants.id = ${participantId} and ${isBy(actor)}
      and calls.id = call_id and conversation_id = ${conversationId}
    returning call_participants.id
  `.execute(db);
  return rows.length > 0;
}

export interface ClaimedParticipant {
  readonly participantId: CallParticipantId;
  readonly conversationId: ConversationId;
}
