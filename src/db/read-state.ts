import { sql } from 'kysely';
import type { ActorRef } from '../actor.ts';
import type { CircleId, ConversationId, MessageId, ParticipantId } from '../ids.ts';
import { CONVERSATION_COLUMNS, MESSAGE_COLUMNS } from './columns.ts';
import { compileOnce } from './compile-once.ts';
import { accessTable, selectAccessibleConversations } from './conversation-access.ts';
import type { Db, Tx } from './database.ts';
import { hasReceiptEvents } from './read-receipts.ts';
import { anyOf, elapsedMsSince, now } from './sql.ts';
import type { Conversation, Message } from './tables.ts';

/** Bounds what a count reads. */
const MAX_UNREAD_COUNT = 10_000;

/** How far an actor has read a conversation. */
export interface ReadState {
  readonly conversation: Conversation;
  /** The message up to which the actor has read; 0 for none. */
  readonly lastReadId: MessageId;
  /** Time since the last change by a mark, by the database's clock; null before the first, or if that clock was set back. */
  readonly elapsedMs: number | null;
  /** Those of the requested messages that are in the conversation. */
  readonly foundIds: readonly MessageId[];
}

/** Locks the read state of an actor until the transaction ends, and returns it. Undefined without access. */
export async function lockReadState(
  tx: Tx,
  { kind, id }: ActorRef,
  conversationId: ConversationId,
  messageIds: readonly MessageId[],
): Promise<ReadState | undefined> {
  const row = await tx
    .selectFrom('conversations')
    .innerJoin(accessTable(kind), 'access.conversationId', 'conversations.id')
    .select(CONVERSATION_COLUMNS)
    .select([
      'access.lastReadId',
      elapsedMsSince(sql`access.last_read_at`).as('elapsedMs'),
      sql<MessageId[]>`array(
        select id from messages where conversation_id = conversations.id and id = ${anyOf(messageIds)}
      )`.as('foundIds'),
    ])
    .where('conversations.id', '=', conversationId)
    .where('access.actorId', '=', id)
    // Not the row of the device, which others lock before its topic.
    .forNoKeyUpdate(kind === 'user' ? 'access' : 'conversations')
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { lastReadId, elapsedMs, foundIds, ...conversation } = row;
  return { conversation, lastReadId, elapsedMs, foundIds };
}

/** The effect of a mark. */
export interface MarkedRead {
  /** Null for a device. */
  readonly participantId: ParticipantId | null;
  /** Whether the conversation has read receipts, and few enough participants for events of them. */
  readonly isReceiptPublished: boolean;
}

/** Sets how far an actor has read a conversation, whose read state is locked. */
export async function setLastRead(
  tx: Tx,
  actor: ActorRef,
  conversationId: ConversationId,
  messageId: MessageId,
): Promise<MarkedRead> {
  // Read here, and not with the lock: behind it, the receipts are those of the last change that the mark has waited for.
  const isReceiptPublished = hasReceiptEvents.as('isReceiptPublished');
  if (actor.kind === 'device')
    return tx
      .updateTable('conversations')
      .set({ deviceLastReadId: messageId, deviceLastReadAt: now })
      .where('id', '=', conversationId)
      .returning([sql<null>`null`.as('participantId'), isReceiptPublished])
      .executeTakeFirstOrThrow();
  return tx
    .updateTable('participants')
    .from('conversations')
    .set({ lastReadId: messageId, lastReadAt: now })
    .whereRef('conversations.id', '=', 'participants.conversationId')
    .where('participants.conversationId', '=', conversationId)
    .where('participants.userId', '=', actor.id)
    .returning(['participants.id as participantId', isReceiptPublished])
    .executeTakeFirstOrThrow();
}

interface UnreadCount {
  readonly conversationId: ConversationId;
  readonly unreadCount: number;
}

/** Finds the conversations of these circles to which the actor has access, in the order of their ids, with their counts. */
export const findAccessibleWithUnread = (
  db: Db,
  { kind, id }: ActorRef,
  circleIds: readonly CircleId[],
): Promise<(Conversation & Pick<UnreadCount, 'unreadCount'>)[]> => findAccessibleOf[kind](db, id, circleIds);

/** Counts the unread messages of the conversations to which the actor has access. */
export const countUnread = (
  db: Db,
  { kind, id }: ActorRef,
  conversationIds: readonly ConversationId[],
): Promise<UnreadCount[]> => countUnreadOf[kind](db, id, conversationIds);

/** Finds the newest read message of each of the conversations to which the actor has access. */
export const findLastRead = (
  db: Db,
  { kind, id }: ActorRef,
  conversationIds: readonly ConversationId[],
): Promise<Message[]> => findLastReadOf[kind](db, id, conversationIds);

const AUTHORS = { user: sql.ref('author_user_id'), device: sql.ref('author_device_id') };

const unreadCount = (kind: ActorRef['kind']) =>
  sql<number>`(
    select count(*)::int from (
      select from messages
      where conversation_id = access.conversation_id and id > access.last_read_id
        and ${AUTHORS[kind]} is distinct from access.actor_id
      limit ${sql.lit(MAX_UNREAD_COUNT)}
    ) as unread
  )`.as('unreadCount');

const createCountUnread = (kind: ActorRef['kind']) =>
  compileOnce((db, id: number, conversationIds: readonly ConversationId[]) =>
    selectAccess(db, kind, id, conversationIds).select(['access.conversationId', unreadCount(kind)]),
  );

const createFindAccessible = (kind: ActorRef['kind']) =>
  compileOnce((db, id: number, circleIds: readonly CircleId[]) =>
    selectAccessibleConversations(db, { kind, id })
      .select(unreadCount(kind))
      .where('conversations.circleId', '=', anyOf(circleIds))
      .orderBy('conversations.id'),
  );

const createFindLastRead = (kind: ActorRef['kind']) =>
  compileOnce((db, id: number, conversationIds: readonly ConversationId[]) =>
    selectAccess(db, kind, id, conversationIds)
      .innerJoinLateral(
        (inner) =>
          inner
            .selectFrom('messages')
            .select(MESSAGE_COLUMNS)
            .whereRef('messages.conversationId', '=', 'access.conversationId')
            .whereRef('messages.id', '<=', 'access.lastReadId')
            .orderBy('messages.id', 'desc')
            .limit(1)
            .as('last'),
        (join) => join.onTrue(),
      )
      .selectAll('last'),
  );

const selectAccess = (
  db: Db,
  kind: ActorRef['kind'],
  id: number,
  conversationIds: readonly ConversationId[],
) =>
  db
    .selectFrom(accessTable(kind))
    .where('access.actorId', '=', id)
    .where('access.conversationId', '=', anyOf(conversationIds));

const countUnreadOf = { user: createCountUnread('user'), device: createCountUnread('device') };
const findAccessibleOf = { user: createFindAccessible('user'), device: createFindAccessible('device') };
const findLastReadOf = { user: createFindLastRead('user'), device: createFindLastRead('device') };
