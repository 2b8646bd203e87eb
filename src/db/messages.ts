import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { ConversationId, DeviceId, MessageId, ParticipantId, UserId } from '../ids.ts';
import type { Account } from './accounts.ts';
import { DEVICE_COLUMNS, USER_COLUMNS } from './actors.ts';
import type { ActorRow } from './actors.ts';
import type { Db, Tx } from './database.ts';
import { now } from './lists.ts';
import type { Media, Message, Timestamp } from './tables.ts';

/** An account that wants to do something in a conversation. */
export interface AccessRequest {
  readonly account: Account;
  readonly conversationId: ConversationId;
}

/** That the account takes part: a user as a participant, a device through its access. */
export interface Access {
  readonly actor: ActorRow;
  readonly participantId: ParticipantId | null;
}

export interface Sender extends Access {
  /** The unused id that its message will have. */
  readonly messageId: MessageId;
}

/** Undefined when the account does not take part in the conversation. */
export async function findAccess(db: Db, request: AccessRequest): Promise<Access | undefined> {
  const [access] = await findSenders(db, [request], sql<MessageId>`0`);
  return access;
}

/**
 * Answers each request in its place, with message ids in the same order; undefined when the account does not take part.
 */
export async function findSenders(
  db: Db,
  requests: readonly AccessRequest[],
  messageId: RawBuilder<MessageId> = sql<MessageId>`nextval('messages_id_seq')::int`,
): Promise<(Sender | undefined)[]> {
  const senders = new Map<number, Sender>();
  const placed = requests.map((request, place) => ({ ...request, place }));
  const ofUsers = placed.filter(({ account }) => account.kind === 'user');
  const ofDevices = placed.filter(({ account }) => account.kind === 'device');
  if (ofUsers.length > 0) {
    const rows = await userSenders(db, ofUsers).select(messageId.as('messageId')).execute();
    for (const { place, messageId, participantId, online, ...user } of rows) {
      senders.set(place, { actor: { kind: 'user', user, online }, participantId, messageId });
    }
  }
  if (ofDevices.length > 0) {
    const rows = await deviceSenders(db, ofDevices).select(messageId.as('messageId')).execute();
    for (const { place, messageId, online, ...device } of rows) {
      senders.set(place, { actor: { kind: 'device', device, online }, participantId: null, messageId });
    }
  }
  const ids = [...senders.values()].map((sender) => sender.messageId).sort((a, b) => a - b);
  return requests.map((_, place) => {
    const sender = senders.get(place);
    return sender && { ...sender, messageId: ids.shift() ?? sender.messageId };
  });
}

type Placed = AccessRequest & { readonly place: number };

const isOnline = sql<boolean>`coalesce(presence.online, false)`.as('online');

function given<AccountId extends number>(requests: readonly Placed[]) {
  const places = requests.map((request) => request.place);
  const accountIds = requests.map((request) => request.account.id);
  const conversationIds = requests.map((request) => request.conversationId);
  return sql<{ place: number; accountId: AccountId; conversationId: ConversationId }>`
    unnest(${places}::int[], ${accountIds}::int[], ${conversationIds}::int[])
  `.as<'given'>(sql`given(place, account_id, conversation_id)`);
}

const userSenders = (db: Db, requests: readonly Placed[]) =>
  db
    .selectFrom(given<UserId>(requests))
    .innerJoin('participants', (join) =>
      join
        .onRef('participants.conversationId', '=', 'given.conversationId')
        .onRef('participants.userId', '=', 'given.accountId'),
    )
    .innerJoin('users', 'users.id', 'participants.userId')
    .leftJoin('presence', (join) =>
      join.on('presence.actorKind', '=', 'user').onRef('presence.actorId', '=', 'users.id'),
    )
    .select(['given.place', 'participants.id as participantId', ...USER_COLUMNS, isOnline]);

const deviceSenders = (db: Db, requests: readonly Placed[]) =>
  db
    .selectFrom(given<DeviceId>(requests))
    .innerJoin('conversations', 'conversations.id', 'given.conversationId')
    .innerJoin('devices', (join) =>
      join
        .onRef('devices.id', '=', 'given.accountId')
        .onRef('devices.circleId', '=', 'conversations.circleId'),
    )
    .leftJoin('presence', (join) =>
      join.on('presence.actorKind', '=', 'device').onRef('presence.actorId', '=', 'devices.id'),
    )
    .where('conversations.deviceAccess', '=', true)
    .select(['given.place', ...DEVICE_COLUMNS, isOnline]);

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
      returning *
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

export interface KeyClaim {
  /** Topic of the account. */
  readonly account: string;
  readonly key: string;
  readonly messageId: MessageId;
}

/** Takes idempotency keys, in an order of its own, and answers those messages that got theirs. Waits for rival claims. */
export async function claimKeys(tx: Tx, claims: readonly KeyClaim[]): Promise<Set<MessageId>> {
  const { rows } = await sql<{ messageId: MessageId }>`
    insert into idempotency_keys (account, key, message_id)
    select account, key, message_id
    from unnest(
      ${claims.map(({ account }) => account)}::text[],
      ${claims.map(({ key }) => key)}::text[],
      ${claims.map(({ messageId }) => messageId)}::int[]
    ) as given (account, key, message_id)
    order by account collate "C", key collate "C", message_id
    on conflict do nothing
    returning message_id
  `.execute(tx);
  return new Set(rows.map((row) => row.messageId));
}

/** The message that a key was first used for; undefined when it was deleted since. */
export async function findByKey(tx: Tx, account: string, key: string): Promise<Message | undefined> {
  return tx
    .selectFrom('messages')
    .innerJoin('idempotencyKeys', 'idempotencyKeys.messageId', 'messages.id')
    .selectAll('messages')
    .where('idempotencyKeys.account', '=', account)
    .where('idempotencyKeys.key', '=', key)
    .executeTakeFirst();
}

export async function findById(db: Db, id: MessageId): Promise<Message | undefined> {
  return db.selectFrom('messages').selectAll().where('id', '=', id).executeTakeFirst();
}

/** The message, if the account takes part in its conversation. */
export async function findReadable(db: Db, account: Account, id: MessageId): Promise<Message | undefined> {
  return db
    .selectFrom('messages')
    .selectAll('messages')
    .where('messages.id', '=', id)
    .where(mayRead(account))
    .executeTakeFirst();
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
    .returningAll()
    .executeTakeFirstOrThrow();
}

export async function setDone(tx: Tx, id: MessageId): Promise<Message> {
  return tx
    .updateTable('messages')
    .set({ status: 'DONE', updatedAt: now })
    .where('id', '=', id)
    .returningAll()
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
          .selectAll('messages')
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

/** Forgets at most `limit` keys of that age: a retry does not come so late. Answers how many. */
export async function forgetKeys(db: Db, before: Timestamp, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    delete from idempotency_keys where ctid in (
      select ctid from idempotency_keys where created_at < ${before}::timestamptz limit ${limit}
    )
  `.execute(db);
  return Number(numAffectedRows ?? 0);
}
