import { sql } from 'kysely';
import type { CircleId, ConversationId, ParticipantId, UserId } from '../ids.ts';
import { CONVERSATION_COLUMNS, PARTICIPANT_COLUMNS } from './columns.ts';
import type { Db, Tx } from './database.ts';
import { anyOf, now } from './sql.ts';
import type { Conversation, ConversationRole, Participant } from './tables.ts';
import type { ActorRef } from '../actor.ts';

/** A conversation, and as what a user takes part in it: null for the circle's device. */
export interface ConversationAccess {
  readonly conversation: Conversation;
  readonly participant: Participant | null;
}

export async function insert(
  tx: Tx,
  conversation: { circleId: CircleId; name: string },
): Promise<Conversation> {
  return tx
    .insertInto('conversations')
    .values(conversation)
    .returning(CONVERSATION_COLUMNS)
    .executeTakeFirstOrThrow();
}

export async function rename(tx: Tx, id: ConversationId, name: string): Promise<Conversation> {
  return tx
    .updateTable('conversations')
    .set({ name, updatedAt: now })
    .where('id', '=', id)
    .returning(CONVERSATION_COLUMNS)
    .executeTakeFirstOrThrow();
}

export async function setDeviceAccess(
  tx: Tx,
  id: ConversationId,
  deviceAccess: boolean,
): Promise<Conversation> {
  return tx
    .updateTable('conversations')
    .set({ deviceAccess, updatedAt: now })
    .where('id', '=', id)
    .returning(CONVERSATION_COLUMNS)
    .executeTakeFirstOrThrow();
}

/** Removes those of the conversations in which at most one is left, the circle's device counted where it has access. */
export async function removeDeserted(tx: Tx, ids: readonly ConversationId[]): Promise<Conversation[]> {
  return tx
    .deleteFrom('conversations')
    .where('id', '=', anyOf(ids))
    .where(
      sql<boolean>`(select count(*) from participants where conversation_id = conversations.id) + device_access::int <= 1`,
    )
    .returning(CONVERSATION_COLUMNS)
    .execute();
}

export async function removeOfCircle(tx: Tx, circleId: CircleId): Promise<Conversation[]> {
  return tx
    .deleteFrom('conversations')
    .where('circleId', '=', circleId)
    .returning(CONVERSATION_COLUMNS)
    .execute();
}

export async function findCircleId(db: Db, id: ConversationId): Promise<CircleId | undefined> {
  const row = await db.selectFrom('conversations').select('circleId').where('id', '=', id).executeTakeFirst();
  return row?.circleId;
}

export async function findByIds(db: Db, ids: readonly ConversationId[]): Promise<Conversation[]> {
  return db.selectFrom('conversations').select(CONVERSATION_COLUMNS).where('id', '=', anyOf(ids)).execute();
}

/** All of these circles, whoever takes part. */
export async function findIdsOfCircles(db: Db, circleIds: readonly CircleId[]): Promise<ConversationId[]> {
  const rows = await db
    .selectFrom('conversations')
    .select('id')
    .where('circleId', '=', anyOf(circleIds))
    .execute();
  return rows.map((row) => row.id);
}

/** Those of the circles in which the account takes part. */
export async function findOfAccount(
  db: Db,
  account: ActorRef,
  circleIds: readonly CircleId[],
): Promise<Conversation[]> {
  return account.kind === 'device'
    ? ofDevice(db, account)
        .where('conversations.circleId', '=', anyOf(circleIds))
        .orderBy('conversations.id')
        .execute()
    : ofUser(db, account)
        .where('conversations.circleId', '=', anyOf(circleIds))
        .orderBy('conversations.id')
        .execute();
}

/** The conversation, if the account takes part in it. */
export async function findAccess(
  db: Db,
  account: ActorRef,
  id: ConversationId,
): Promise<ConversationAccess | undefined> {
  if (account.kind === 'device') {
    const conversation = await ofDevice(db, account).where('conversations.id', '=', id).executeTakeFirst();
    return conversation === undefined ? undefined : { conversation, participant: null };
  }
  const row = await ofUser(db, account)
    .select([
      'participants.id as participantId',
      'participants.role',
      'participants.createdAt as joinedAt',
      'participants.updatedAt as changedAt',
    ])
    .where('conversations.id', '=', id)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { participantId, role, joinedAt, changedAt, ...conversation } = row;
  const participant: Participant = {
    id: participantId,
    conversationId: id,
    userId: account.id,
    role,
    createdAt: joinedAt,
    updatedAt: changedAt,
  };
  return { conversation, participant };
}

/** Whether the accounts take part in the conversations, in their order: the same, asked for many at once. */
export async function canRead(
  db: Db,
  asked: readonly { readonly account: ActorRef; readonly conversationId: ConversationId }[],
): Promise<boolean[]> {
  const { rows } = await sql<{ allowed: boolean }>`
    select case actor_kind
        when 'user' then exists (
          select from participants
          where participants.conversation_id = given.conversation_id and user_id = actor_id
        )
        else exists (
          select from conversations join devices on devices.circle_id = conversations.circle_id
          where conversations.id = given.conversation_id and devices.id = actor_id and device_access
        )
      end as allowed
    from unnest(
      ${asked.map(({ account }) => account.kind)}::text[],
      ${asked.map(({ account }) => account.id)}::int[],
      ${asked.map(({ conversationId }) => conversationId)}::int[]
    ) with ordinality as given (actor_kind, actor_id, conversation_id, ordinal)
    order by ordinal
  `.execute(db);
  return rows.map(({ allowed }) => allowed);
}

const ofUser = (db: Db, user: ActorRef & { kind: 'user' }) =>
  db
    .selectFrom('conversations')
    .innerJoin('participants', 'participants.conversationId', 'conversations.id')
    .select(CONVERSATION_COLUMNS)
    .where('participants.userId', '=', user.id);

const ofDevice = (db: Db, device: ActorRef & { kind: 'device' }) =>
  db
    .selectFrom('conversations')
    .innerJoin('devices', 'devices.circleId', 'conversations.circleId')
    .select(CONVERSATION_COLUMNS)
    .where('devices.id', '=', device.id)
    .where('conversations.deviceAccess', '=', true);

/** In the order given, oldest first. */
export async function insertParticipants(
  tx: Tx,
  conversationId: ConversationId,
  participants: readonly { userId: UserId; role: ConversationRole }[],
): Promise<Participant[]> {
  const rows = await tx
    .insertInto('participants')
    .values(participants.map((participant) => ({ conversationId, ...participant })))
    .returning(PARTICIPANT_COLUMNS)
    .execute();
  return rows.sort((a, b) => a.id - b.id);
}

/** Ends what the user has to do with the conversations; answers it as it was. */
export async function removeParticipants(
  tx: Tx,
  userId: UserId,
  ids: readonly ConversationId[],
): Promise<Participant[]> {
  const rows = await tx
    .deleteFrom('participants')
    .where('userId', '=', userId)
    .where('conversationId', '=', anyOf(ids))
    .returning(PARTICIPANT_COLUMNS)
    .execute();
  return rows.sort((a, b) => a.conversationId - b.conversationId);
}

export async function setRole(tx: Tx, id: ParticipantId, role: ConversationRole): Promise<Participant> {
  return tx
    .updateTable('participants')
    .set({ role, updatedAt: now })
    .where('id', '=', id)
    .returning(PARTICIPANT_COLUMNS)
    .executeTakeFirstOrThrow();
}

/** Makes the oldest participant ADMIN in those of the conversations that have no ADMIN left. */
export async function ensureAdmins(tx: Tx, ids: readonly ConversationId[]): Promise<void> {
  await sql`
    update participants set role = 'ADMIN', updated_at = ${now}
    where id in (
      select min(id) from participants where conversation_id = ${anyOf(ids)}
      group by conversation_id having count(*) filter (where role = 'ADMIN') = 0
    )
  `.execute(tx);
}

export async function findParticipant(db: Db, id: ParticipantId): Promise<Participant | undefined> {
  return db.selectFrom('participants').select(PARTICIPANT_COLUMNS).where('id', '=', id).executeTakeFirst();
}

export async function findParticipantOf(
  db: Db,
  conversationId: ConversationId,
  userId: UserId,
): Promise<Participant | undefined> {
  return db
    .selectFrom('participants')
    .select(PARTICIPANT_COLUMNS)
    .where('conversationId', '=', conversationId)
    .where('userId', '=', userId)
    .executeTakeFirst();
}

export async function findParticipantsByIds(db: Db, ids: readonly ParticipantId[]): Promise<Participant[]> {
  return db.selectFrom('participants').select(PARTICIPANT_COLUMNS).where('id', '=', anyOf(ids)).execute();
}

/** Of all these conversations, oldest first. */
export async function findParticipants(db: Db, ids: readonly ConversationId[]): Promise<Participant[]> {
  return db
    .selectFrom('participants')
    .select(PARTICIPANT_COLUMNS)
    .where('conversationId', '=', anyOf(ids))
    .orderBy('id')
    .execute();
}
