import { sql } from 'kysely';
import type { ConversationId, MessageId, ParticipantId } from '../ids.ts';
import { MESSAGE_COLUMNS } from './columns.ts';
import { accessCondition } from './conversation-access.ts';
import { compileOnce } from './compile-once.ts';
import type { Db, Tx } from './database.ts';
import { anyOf, now } from './sql.ts';
import type { Media, Message, Timestamp } from './tables.ts';
import type { ActorRef } from '../actor.ts';

export interface NewMessage {
  readonly id: MessageId;
  readonly conversationId: ConversationId;
  readonly author: ActorRef;
  readonly participantId: ParticipantId | null;
  readonly text: string;
  /** The files to be uploaded. */
  readonly files: readonly Pick<Media, 'id' | 'identifier'>[];
  readonly sentAt: Timestamp;
}

/** A message with the media rows of its files. */
export interface MessageWithMedia {
  readonly message: Message;
  readonly media: readonly Media[];
}

/** Returns the rows of a message before they are stored. */
export const createMessage = ({ author, files, ...message }: NewMessage): MessageWithMedia => ({
  message: {
    ...message,
    authorUserId: author.kind === 'user' ? author.id : null,
    authorDeviceId: author.kind === 'device' ? author.id : null,
    status: files.length > 0 ? 'PENDING' : 'DONE',
    mediaCount: files.length,
    updatedAt: message.sentAt,
  },
  media: files.map((file) => ({ ...file, messageId: message.id, ...NOT_UPLOADED })),
});

const NOT_UPLOADED = { filename: null, extension: null, contentType: null, size: null, uploadedAt: null };

/** Stores new messages, and the media rows of their files, in one statement. */
export async function insert(tx: Tx, newMessages: readonly MessageWithMedia[]): Promise<void> {
  await insertRows(tx, ...toColumns(newMessages));
}

function toColumns(newMessages: readonly MessageWithMedia[]) {
  const messages = newMessages.map(({ message }) => message);
  const media = newMessages.flatMap((each) => each.media);
  return [
    messages.map(({ id }) => id),
    messages.map(({ conversationId }) => conversationId),
    messages.map(({ authorUserId }) => authorUserId),
    messages.map(({ authorDeviceId }) => authorDeviceId),
    messages.map(({ participantId }) => participantId),
    messages.map(({ text }) => text),
    messages.map(({ status }) => status),
    messages.map(({ mediaCount }) => mediaCount),
    messages.map(({ sentAt }) => sentAt),
    media.map(({ id }) => id),
    media.map(({ messageId }) => messageId),
    media.map(({ identifier }) => identifier),
  ] as const;
}

const insertRows = compileOnce(
  (
    _db,
    ...[
      ids,
      conversationIds,
      userIds,
      deviceIds,
      participantIds,
      texts,
      statuses,
      mediaCounts,
      sentTimes,
      mediaIds,
      messageIds,
      identifiers,
    ]: ReturnType<typeof toColumns>
  ) => sql`
    with message as (
      insert into messages (
        id, conversation_id, author_user_id, author_device_id, participant_id, text, status, media_count, sent_at,
        updated_at
      )
      overriding system value
      select id, conversation_id, author_user_id, author_device_id, participant_id, text, status, media_count, sent_at,
        sent_at
      from unnest(
        ${ids}::int[], ${conversationIds}::int[], ${userIds}::int[], ${deviceIds}::int[], ${participantIds}::int[],
        ${texts}::text[], ${statuses}::text[], ${mediaCounts}::int[], ${sentTimes}::timestamptz[]
      ) as input (
        id, conversation_id, author_user_id, author_device_id, participant_id, text, status, media_count, sent_at
      )
    )
    insert into media (id, message_id, identifier)
    overriding system value
    select id, message_id, identifier
    from unnest(${mediaIds}::int[], ${messageIds}::int[], ${identifiers}::text[]) as input (id, message_id, identifier)
  `,
);

export async function findById(db: Db, id: MessageId): Promise<Message | undefined> {
  return db.selectFrom('messages').select(MESSAGE_COLUMNS).where('id', '=', id).executeTakeFirst();
}

/** Returns the messages of conversations to which the actor has access. */
export async function findReadable(db: Db, actor: ActorRef, ids: readonly MessageId[]): Promise<Message[]> {
  return db
    .selectFrom('messages')
    .select(MESSAGE_COLUMNS)
    .where('messages.id', '=', anyOf(ids))
    .where(accessCondition(actor, sql.ref('messages.conversation_id')))
    .execute();
}

export async function setText(tx: Tx, id: MessageId, text: string): Promise<Message> {
  return tx
    .updateTable('messages')
    .set({ text, updatedAt: now })
    .where('id', '=', id)
    .returning(MESSAGE_COLUMNS)
    .executeTakeFirstOrThrow();
}

export async function setDone(tx: Tx, id: MessageId): Promise<Message> {
  return tx
    .updateTable('messages')
    .set({ status: 'DONE', updatedAt: now })
    .where('id', '=', id)
    .returning(MESSAGE_COLUMNS)
    .executeTakeFirstOrThrow();
}

export async function remove(tx: Tx, id: MessageId): Promise<void> {
  await tx.deleteFrom('messages').where('id', '=', id).execute();
}

export interface PageRequest {
  readonly after?: MessageId | undefined;
  readonly before?: MessageId | undefined;
  readonly limit: number;
  readonly newestFirst: boolean;
}

/** Reads a page of messages of each conversation, in one statement. */
export async function findPages(
  db: Db,
  ids: readonly ConversationId[],
  { after, before, limit, newestFirst }: PageRequest,
): Promise<Message[]> {
  const pages = newestFirst ? NEWEST_PAGES : OLDEST_PAGES;
  return after === undefined && before === undefined
    ? pages.atEnd(db, ids, limit)
    : pages.between(db, ids, limit, after ?? BEFORE_ALL, before ?? AFTER_ALL);
}

/** Bounds that no message has. */
const [BEFORE_ALL, AFTER_ALL] = [0, 2 ** 31];

const NEWEST_PAGES = createPageReads('desc');
const OLDEST_PAGES = createPageReads('asc');

function createPageReads(direction: 'asc' | 'desc') {
  return {
    atEnd: compileOnce((db, ids: readonly ConversationId[], limit: number) =>
      selectPages(db, ids, (messages) => messages.orderBy('messages.id', direction).limit(limit)).orderBy(
        'page.id',
        direction,
      ),
    ),
    between: compileOnce((db, ids: readonly ConversationId[], limit: number, after: number, before: number) =>
      selectPages(db, ids, (messages) =>
        messages
          .where('messages.id', '>', sql<MessageId>`${after}`)
          .where('messages.id', '<', sql<MessageId>`${before}::bigint`)
          .orderBy('messages.id', direction)
          .limit(limit),
      ).orderBy('page.id', direction),
    ),
  };
}

type MessagesOfInput = ReturnType<typeof selectMessagesOfInput>;

const selectMessagesOfInput = (db: Pick<Db, 'selectFrom'>) =>
  db
    .selectFrom('messages')
    .select(MESSAGE_COLUMNS)
    .where('messages.conversationId', '=', sql<ConversationId>`input.id`);

/** Selects from the messages of each conversation those of its page. */
const selectPages = (
  db: Db,
  ids: readonly ConversationId[],
  toPage: (messages: MessagesOfInput) => MessagesOfInput,
) =>
  db
    .selectFrom(sql<{ id: ConversationId }>`unnest(${ids}::int[])`.as<'input'>(sql`input(id)`))
    .innerJoinLateral(toPage(selectMessagesOfInput(db)).as('page'), (join) => join.onTrue())
    .selectAll('page');
