import { sql } from 'kysely';
import type { CircleId, ConversationId, ParticipantId, UserId } from '../ids.ts';
import { CONVERSATION_COLUMNS, PARTICIPANT_COLUMNS } from './columns.ts';
import { compileOnce } from './compile-once.ts';
import type { Db, Tx } from './database.ts';
import { anyOf, now } from './sql.ts';
import type { Conversation, ConversationRole, Participant } from './tables.ts';

export async function insert(
  tx: Tx,
  conversation: { circleId: CircleId; name: string; readReceipts: boolean },
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

const hasFewerThanTwoParticipants = sql<boolean>`
  (select count(*) from participants where conversation_id = conversations.id) + device_access::int <= 1
`;

/** Finds the conversations that `removeWithFewerThanTwoParticipants` would delete. */
export async function findWithFewerThanTwoParticipants(
  tx: Tx,
  ids: readonly ConversationId[],
): Promise<ConversationId[]> {
  const rows = await tx
    .selectFrom('conversations')
    .select('id')
    .where('id', '=', anyOf(ids))
    .where(hasFewerThanTwoParticipants)
    .execute();
  return rows.map(({ id }) => id);
}

/** Deletes the conversations with at most one participant left. A device with access counts as a participant. */
export async function removeWithFewerThanTwoParticipants(
  tx: Tx,
  ids: readonly ConversationId[],
): Promise<Conversation[]> {
  return tx
    .deleteFrom('conversations')
    .where('id', '=', anyOf(ids))
    .where(hasFewerThanTwoParticipants)
    .returning(CONVERSATION_COLUMNS)
    .execute();
}

export async function removeByCircle(tx: Tx, circleId: CircleId): Promise<Conversation[]> {
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

export const findByIds = compileOnce((db, ids: readonly ConversationId[]) =>
  db.selectFrom('conversations').select(CONVERSATION_COLUMNS).where('id', '=', anyOf(ids)),
);

/** Returns all conversations of the circles, regardless of access. */
export async function findIdsByCircles(db: Db, circleIds: readonly CircleId[]): Promise<ConversationId[]> {
  const rows = await db
    .selectFrom('conversations')
    .select('id')
    .where('circleId', '=', anyOf(circleIds))
    .execute();
  return rows.map((row) => row.id);
}

/** Inserts participants in this order, which is also that of their ids. */
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

/** Removes the user from the conversations. Returns the deleted participants. */
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

/** Promotes the oldest participant of each conversation without an ADMIN. */
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

export async function findParticipantByUser(
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

export const findParticipantsByIds = compileOnce((db, ids: readonly ParticipantId[]) =>
  db.selectFrom('participants').select(PARTICIPANT_COLUMNS).where('id', '=', anyOf(ids)),
);

/** Finds the participants of all these conversations, oldest first. */
export const findParticipantsByConversations = compileOnce((db, ids: readonly ConversationId[]) =>
  db
    .selectFrom('participants')
    .select(PARTICIPANT_COLUMNS)
    .where('conversationId', '=', anyOf(ids))
    .orderBy('id'),
);
