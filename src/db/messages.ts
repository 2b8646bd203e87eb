import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { ConversationId, MessageId, ParticipantId } from '../ids.ts';
import type { Account } from './accounts.ts';
import { MESSAGE_COLUMNS } from './columns.ts';
import type { Db, Tx } from './database.ts';
import { anyOf, now } from './expressions.ts';
import type { Media, Message } from './tables.ts';

export interface NewMessage {
  readonly id: MessageId;
  readonly conversationId: ConversationId;
  readonly author: Account;
  readonly participantId: ParticipantId | null;
  readonly text: string;
  /** What the sender calls the files that are to come. */
  readonly files: readonly string[];
}

/** Stores messages and the media rows of their files, in one statement. Answers them in the order of their ids. */
export async function insert(
  tx: Tx,
  messages: readonly NewMessage[],
): Promise<{ readonly message: Message; readonly media: readonly Media[] }[]> {
  const files = messages.flatMap(({ id, files }) => files.map((identifier) => ({ id, identifier })));
  const { rows } = await sql<Message & { mediaId: Media['id'] | null; identifier: string | null }>`
    with message as (
      insert into messages (
        id, conversation_id, author_user_id, author_device_id, participant_id, text, status, media_count
      )
      overriding system value
      select id, conversation_id, author_user_id, author_device_id, participant_id, text,
        case when media_count > 0 then 'PENDING' else 'DONE' end, media_count
      from unnest(
        ${messages.map(({ id }) => id)}::int[],
        ${messages.map(({ conversationId }) => conversationId)}::int[],
        ${messages.map(({ author }) => (author.kind === 'user' ? author.id : null))}::int[],
        ${messages.map(({ author }) => (author.kind === 'device' ? author.id : null))}::int[],
        ${messages.map(({ participantId }) => participantId)}::int[],
        ${messages.map(({ text }) => text)}::text[],
        ${messages.map(({ files }) => files.length)}::int[]
      ) as given (id, conversation_id, author_user_id, author_device_id, participant_id, text, media_count)
      returning ${sql.join(MESSAGE_COLUMNS.map((column) => sql.ref(column)))}
    ), file as (
      insert into media (message_id, identifier)
      select message_id, identifier
      from unnest(${files.map(({ id }) => id)}::int[], ${files.map(({ identifier }) => identifier)}::text[])
        with ordinality as given (message_id, identifier, place)
      order by place
      returning id, message_id, identifier
    )
    select message.*, file.id as media_id, file.identifier
    from message left join file on file.message_id = message.id
    order by message.id, file.id
  `.execute(tx);
  return grouped(rows);
}

function grouped(rows: readonly (Message & { mediaId: Media['id'] | null; identifier: string | null })[]) {
  const stored = new Map<MessageId, { readonly message: Message; readonly media: Media[] }>();
  for (const { mediaId, identifier, ...message } of rows) {
    const media = stored.get(message.id)?.media ?? [];
    if (mediaId !== null && identifier !== null) {
      media.push({
        id: mediaId,
        messageId: message.id,
        identifier,
        filename: null,
        extension: null,
        contentType: null,
        size: null,
        uploadedAt: null,
      });
    }
    stored.set(message.id, { message, media });
  }
  return [...stored.values()];
}

export async function findById(db: Db, id: MessageId): Promise<Message | undefined> {
  return db.selectFrom('messages').select(MESSAGE_COLUMNS).where('id', '=', id).executeTakeFirst();
}

/** Those of the messages in whose conversation the account takes part. */
export async function findReadable(db: Db, account: Account, ids: readonly MessageId[]): Promise<Message[]> {
  return db
    .selectFrom('messages')
    .select(MESSAGE_COLUMNS)
    .where('messages.id', '=', anyOf(ids))
    .where(mayRead(account))
    .execute();
}

/** Whether the account takes part in the conversation of the row of `messages` at hand. */
export const mayRead = (account: Account): RawBuilder<boolean> =>
  account.kind === 'user'
    ? sql<boolean>`exists (
        select 1 from participants
        where participants.conversation_id = messages.conversation_id and participants.user_id = ${account.id}
      )`
    : sql<boolean>`exists (
        select 1 from conversations join devices on devices.circle_id = conversations.circle_id
        where conversations.id = messages.conversation_id and conversations.device_access
          and devices.id = ${account.id}
      )`;

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

/** A page of the messages of each conversation, in one statement. */
export async function findPages(
  db: Db,
  ids: readonly ConversationId[],
  page: PageRequest,
): Promise<Message[]> {
  const direction = page.newestFirst ? 'desc' : 'asc';
  return db
    .selectFrom(sql<{ id: ConversationId }>`unnest(${ids}::int[])`.as<'given'>(sql`given(id)`))
    .innerJoinLateral(
      (inner) =>
        inner
          .selectFrom('messages')
          .select(MESSAGE_COLUMNS)
          .whereRef('messages.conversationId', '=', 'given.id')
          .$if(page.after !== undefined, (query) =>
            query.where('messages.id', '>', sql<MessageId>`${page.after}`),
          )
          .$if(page.before !== undefined, (query) =>
            query.where('messages.id', '<', sql<MessageId>`${page.before}`),
          )
          .orderBy('messages.id', direction)
          .limit(page.limit)
          .as('page'),
      (join) => join.onTrue(),
    )
    .selectAll('page')
    .orderBy('page.id', direction)
    .execute();
}
