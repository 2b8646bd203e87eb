import { sql } from 'kysely';
import type { ActorRef } from '../actor.ts';
import type { ConversationId, MessageId, ParticipantId } from '../ids.ts';
import { DEVICE_IS_ALLOWED, USER_IS_ALLOWED } from './account-blocks.ts';
import { CONVERSATION_COLUMNS, MESSAGE_COLUMNS } from './columns.ts';
import { compileOnce } from './compile-once.ts';
import { accessTable } from './conversation-access.ts';
import type { Db, Tx } from './database.ts';
import { anyOf, now } from './sql.ts';
import type { Conversation, Message } from './tables.ts';

/** Bounds the events of one message to its square: each participant marks it, and each receives that. */
const MAX_PARTICIPANTS_WITH_EVENTS = 100;

/** How far a member of a conversation has read, as the others see it. */
export interface ReadReceipt {
  readonly reader: ActorRef;
  /** Null for the device. */
  readonly participantId: ParticipantId | null;
  readonly messageId: MessageId;
}

/** SQL condition on `conversations`: changes of read states are published to the others. */
export const hasReceiptEvents = sql<boolean>`case when conversations.read_receipts then (
  select count(*) from (
    select from participants as counted where counted.conversation_id = conversations.id
    limit ${sql.lit(MAX_PARTICIPANTS_WITH_EVENTS + 1)}
  ) as counted
) <= ${sql.lit(MAX_PARTICIPANTS_WITH_EVENTS)} else false end`;

/**
 * Turns read receipts on or off. When they are turned on, what was read until then stays private: waits for marks in
 * progress, and those that wait for this see the new setting.
 */
export async function setReadReceipts(
  tx: Tx,
  id: ConversationId,
  readReceipts: boolean,
): Promise<Conversation> {
  if (readReceipts)
    await tx
      .updateTable('participants')
      .set(({ ref }) => ({ privateReadId: ref('lastReadId') }))
      .where('conversationId', '=', id)
      .execute();
  return tx
    .updateTable('conversations')
    .set(({ ref }) => ({
      readReceipts,
      updatedAt: now,
      ...(readReceipts ? { devicePrivateReadId: ref('deviceLastReadId') } : {}),
    }))
    .where('id', '=', id)
    .returning(CONVERSATION_COLUMNS)
    .executeTakeFirstOrThrow();
}

/** Finds how far the members of a conversation have read, where the others see it. Nothing if changes are not published. */
export async function findReceipts(db: Db, id: ConversationId): Promise<ReadReceipt[]> {
  const [ofParticipants, ofDevices] = await Promise.all([
    findPositionsOfParticipants(db, id),
    findPositionsOfDevices(db, id),
  ]);
  return [
    ...ofParticipants.map(({ userId, ...receipt }): ReadReceipt => ({
      reader: { kind: 'user', id: userId },
      ...receipt,
    })),
    ...ofDevices.map(({ deviceId, messageId }): ReadReceipt => ({
      reader: { kind: 'device', id: deviceId },
      participantId: null,
      messageId,
    })),
  ];
}

/** Finds the newest read message of each of the participants, where the actor sees it. */
export const findReceiptsOfParticipants = (
  db: Db,
  { kind, id }: ActorRef,
  participantIds: readonly ParticipantId[],
): Promise<(Message & { readonly readerId: ParticipantId })[]> =>
  findReceiptsOfParticipantsAs[kind](db, id, participantIds);

/** Finds the newest message that the device has read in each of the conversations, where the actor sees it. */
export const findReceiptsOfDevices = (
  db: Db,
  { kind, id }: ActorRef,
  conversationIds: readonly ConversationId[],
): Promise<Message[]> => findReceiptsOfDevicesAs[kind](db, id, conversationIds);

const selectParticipantReceipts = (db: Db) =>
  db
    .selectFrom('participants')
    .innerJoin('conversations', 'conversations.id', 'participants.conversationId')
    .innerJoin('users', 'users.id', 'participants.userId')
    .where('conversations.readReceipts', '=', true)
    .where(USER_IS_ALLOWED)
    .whereRef('participants.lastReadId', '>', 'participants.privateReadId');

const selectDeviceReceipts = (db: Db) =>
  db
    .selectFrom('conversations')
    .innerJoin('devices', 'devices.circleId', 'conversations.circleId')
    .where('conversations.readReceipts', '=', true)
    .where('conversations.deviceAccess', '=', true)
    .where(DEVICE_IS_ALLOWED)
    .whereRef('conversations.deviceLastReadId', '>', 'conversations.devicePrivateReadId');

/** Selects the newest message of a conversation, up to the one to which the expression refers. */
const selectNewest = (db: Db, position: 'participants.last_read_id' | 'conversations.device_last_read_id') =>
  db
    .selectFrom('messages')
    .select(MESSAGE_COLUMNS)
    .where('messages.conversationId', '=', sql.ref<ConversationId>('conversations.id'))
    .where('messages.id', '<=', sql.ref<MessageId>(position))
    .orderBy('messages.id', 'desc')
    .limit(1)
    .as('last');

const findPositionsOfParticipants = compileOnce((db, id: ConversationId) =>
  selectParticipantReceipts(db)
    .select([
      'participants.userId',
      'participants.id as participantId',
      'participants.lastReadId as messageId',
    ])
    .where('conversations.id', '=', id)
    .where(hasReceiptEvents),
);

const findPositionsOfDevices = compileOnce((db, id: ConversationId) =>
  selectDeviceReceipts(db)
    .select(['devices.id as deviceId', 'conversations.deviceLastReadId as messageId'])
    .where('conversations.id', '=', id)
    .where(hasReceiptEvents),
);

const createFindReceiptsOfParticipants = (kind: ActorRef['kind']) =>
  compileOnce((db, id: number, participantIds: readonly ParticipantId[]) =>
    selectParticipantReceipts(db)
      .innerJoin(accessTable(kind), 'access.conversationId', 'conversations.id')
      .innerJoinLateral(selectNewest(db, 'participants.last_read_id'), (join) => join.onTrue())
      .selectAll('last')
      .select('participants.id as readerId')
      .where('access.actorId', '=', id)
      .where('participants.id', '=', anyOf(participantIds)),
  );

const createFindReceiptsOfDevices = (kind: ActorRef['kind']) =>
  compileOnce((db, id: number, conversationIds: readonly ConversationId[]) =>
    selectDeviceReceipts(db)
      .innerJoin(accessTable(kind), 'access.conversationId', 'conversations.id')
      .innerJoinLateral(selectNewest(db, 'conversations.device_last_read_id'), (join) => join.onTrue())
      .selectAll('last')
      .where('access.actorId', '=', id)
      .where('conversations.id', '=', anyOf(conversationIds)),
  );

const findReceiptsOfParticipantsAs = {
  user: createFindReceiptsOfParticipants('user'),
  device: createFindReceiptsOfParticipants('device'),
};
const findReceiptsOfDevicesAs = {
  user: createFindReceiptsOfDevices('user'),
  device: createFindReceiptsOfDevices('device'),
};
