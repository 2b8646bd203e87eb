import { sql } from 'kysely';
import type { AliasedRawBuilder, Expression, RawBuilder } from 'kysely';
import type { ActorRef } from '../actor.ts';
import type { CircleId, ConversationId, DeviceId, MessageId, ParticipantId, UserId } from '../ids.ts';
import { isOnline } from './actors.ts';
import type { ActorRow } from './actors.ts';
import { CONVERSATION_COLUMNS, DEVICE_COLUMNS, USER_COLUMNS } from './columns.ts';
import { compileOnce } from './compile-once.ts';
import type { Db } from './database.ts';
import { isActiveToken, TOKEN_COLUMNS, toTokenColumns, tokenArrays } from './sessions.ts';
import type { TokenCheck } from './sessions.ts';
import { anyOf } from './sql.ts';
import type { Conversation, ConversationRole, Participant, Timestamp } from './tables.ts';

/** One row for each conversation that an actor may read and write. The participant is null for a device. */
interface AccessRow {
  conversationId: ConversationId;
  actorId: number;
  participantId: ParticipantId | null;
  role: ConversationRole | null;
  joinedAt: Timestamp | null;
  changedAt: Timestamp | null;
  /** The message up to which the actor has read; 0 for none. */
  lastReadId: MessageId;
  lastReadAt: Timestamp | null;
}

/**
 * The access rule, as one table for each kind of actor. A user has access as a participant; a device has access to the
 * conversations of its circle with `deviceAccess`. Every statement that checks access to a conversation uses this
 * table. Running streams and rooms do not query it again: events end them (`accessEndReason` in `events/event.ts`), so a
 * change that takes access away must emit one.
 *
 * A subquery instead of a view over both kinds: PostgreSQL inlines it into the statement that joins it, and uses the
 * indexes. It does not inline a member of UNION ALL that is a join itself (`is_safe_append_member`), and would read
 * every device.
 */
const ACCESS: Readonly<Record<ActorRef['kind'], RawBuilder<AccessRow>>> = {
  user: sql`(
    select conversation_id, user_id as actor_id, id as participant_id, role, created_at as joined_at, updated_at as changed_at,
      last_read_id, last_read_at
    from participants
  )`,
  device: sql`(
    select conversations.id as conversation_id, devices.id as actor_id, null::int as participant_id, null::text as role,
      null::timestamptz as joined_at, null::timestamptz as changed_at,
      conversations.device_last_read_id as last_read_id, conversations.device_last_read_at as last_read_at
    from conversations join devices on devices.circle_id = conversations.circle_id
    where conversations.device_access
  )`,
};

export const accessTable = (kind: ActorRef['kind']): AliasedRawBuilder<AccessRow, 'access'> =>
  ACCESS[kind].as<'access'>(sql`access`);

/** SQL condition: the actor has access to the conversation whose id the expression gives. */
export const accessCondition = (
  { kind, id }: { readonly kind: ActorRef['kind']; readonly id: number | Expression<number> },
  conversationId: Expression<ConversationId>,
): RawBuilder<boolean> => sql<boolean>`exists (
  select from ${ACCESS[kind]} as access
  where access.conversation_id = ${conversationId} and access.actor_id = ${id}
)`;

/** A conversation, and the participant through whom a user has access; null for a device. */
export interface ConversationAccess {
  readonly conversation: Conversation;
  readonly participant: Participant | null;
}

/** Finds a conversation with the actor's participant. Undefined without access. */
export async function findConversationAccess(
  db: Db,
  actor: ActorRef,
  id: ConversationId,
): Promise<ConversationAccess | undefined> {
  const row = await selectAccessibleConversations(db, actor)
    .select(['access.participantId', 'access.role', 'access.joinedAt', 'access.changedAt'])
    .where('conversations.id', '=', id)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { participantId, role, joinedAt, changedAt, ...conversation } = row;
  if (
    actor.kind === 'device' ||
    participantId === null ||
    role === null ||
    joinedAt === null ||
    changedAt === null
  )
    return { conversation, participant: null };
  const participant: Participant = {
    id: participantId,
    conversationId: id,
    userId: actor.id,
    role,
    createdAt: joinedAt,
    updatedAt: changedAt,
  };
  return { conversation, participant };
}

/** Finds the conversations of these circles to which the actor has access, in the order of their ids. */
export const findAccessibleConversations = (
  db: Db,
  { kind, id }: ActorRef,
  circleIds: readonly CircleId[],
): Promise<Conversation[]> => findAccessible[kind](db, id, circleIds);

const createFindAccessible = (kind: ActorRef['kind']) =>
  compileOnce((db, id: number, circleIds: readonly CircleId[]) =>
    selectAccessibleConversations(db, { kind, id })
      .where('conversations.circleId', '=', anyOf(circleIds))
      .orderBy('conversations.id'),
  );

/** Selects the conversations to which an actor has access, joined with its access. */
export const selectAccessibleConversations = (
  db: Db,
  { kind, id }: Pick<ActorRef, 'kind'> & { readonly id: number },
) =>
  db
    .selectFrom('conversations')
    .innerJoin(accessTable(kind), 'access.conversationId', 'conversations.id')
    .select(CONVERSATION_COLUMNS)
    .where('access.actorId', '=', id);

const findAccessible = { user: createFindAccessible('user'), device: createFindAccessible('device') };

export interface AccessRequest {
  readonly actor: ActorRef;
  readonly conversationId: ConversationId;
}

/** Checks access for many requests in one statement. Returns a boolean for each, in their order. */
export async function checkAccess(db: Db, requests: readonly AccessRequest[]): Promise<boolean[]> {
  const conversationId = sql.ref<ConversationId>('input.conversation_id');
  const id = sql.ref<number>('input.actor_id');
  const { rows } = await sql<{ allowed: boolean }>`
    select case actor_kind
        when 'user' then ${accessCondition({ kind: 'user', id }, conversationId)}
        else ${accessCondition({ kind: 'device', id }, conversationId)}
      end as allowed
    from unnest(
      ${requests.map(({ actor }) => actor.kind)}::text[],
      ${requests.map(({ actor }) => actor.id)}::int[],
      ${requests.map((request) => request.conversationId)}::int[]
    ) with ordinality as input (actor_kind, actor_id, conversation_id, ordinal)
    order by ordinal
  `.execute(db);
  return rows.map(({ allowed }) => allowed);
}

/** An actor with access to a conversation, as embedded in events, and the participant through whom it has it. */
export interface ActorWithAccess {
  readonly actor: ActorRow;
  readonly participantId: ParticipantId | null;
}

/** A request with the session that must still be active; undefined if the actor needs none. */
export interface SendRequest extends AccessRequest {
  readonly session?: TokenCheck | undefined;
}

export interface Sender extends ActorWithAccess {
  /** Whether the session of the request is active. */
  readonly isActive: boolean;
  /** Reserved for the sender's message. */
  readonly messageId: MessageId;
  /** Time of the query: the message's `sentAt`. */
  readonly at: Timestamp;
}

const CURRENT_TIME = sql<Timestamp>`clock_timestamp()::timestamptz(3)`.as('at');

/** Returns the actor for each request, in their order; undefined without access. */
export async function findActorsWithAccess(
  db: Db,
  requests: readonly AccessRequest[],
): Promise<(ActorWithAccess | undefined)[]> {
  const found = await findSendersByIndex(db, requests, senders);
  return requests.map((_, index) => found.get(index));
}

/**
 * Returns the sender for each request, in their order; undefined without access. Message ids and times ascend in the
 * order of the requests, whatever order PostgreSQL evaluates the rows in.
 */
export async function findSenders(db: Db, requests: readonly SendRequest[]): Promise<(Sender | undefined)[]> {
  const found = await findSendersByIndex(db, requests, sendersOfMessages);
  const ids = [...found.values()].map(({ messageId }) => messageId).sort((a, b) => a - b);
  const times = [...found.values()].map(({ at }) => at).sort();
  return requests.map((_, index) => {
    const sender = found.get(index);
    return (
      sender && { ...sender, messageId: ids.shift() ?? sender.messageId, at: times.shift() ?? sender.at }
    );
  });
}

/** Maps the index of a request to its sender, in any order. */
async function findSendersByIndex(
  db: Db,
  requests: readonly SendRequest[],
  select: ReturnType<typeof createSelects>,
): Promise<Map<number, Sender>> {
  const indexed = requests.map((request, index) => ({ ...request, index }));
  const ofUsers = indexed.filter(({ actor }) => actor.kind === 'user');
  const ofDevices = indexed.filter(({ actor }) => actor.kind === 'device');
  const [users, devices] = await Promise.all([
    ofUsers.length === 0 ? [] : select.ofUsers(db, ...toColumns(ofUsers)),
    ofDevices.length === 0 ? [] : select.ofDevices(db, ...toColumns(ofDevices)),
  ]);
  const found = new Map<number, Sender>();
  for (const { index, isActive, messageId, at, participantId, online, ...user } of users)
    found.set(index, { actor: { kind: 'user', user, online }, participantId, isActive, messageId, at });
  for (const { index, isActive, messageId, at, participantId, online, ...device } of devices)
    found.set(index, { actor: { kind: 'device', device, online }, participantId, isActive, messageId, at });
  return found;
}

type IndexedRequest = SendRequest & { readonly index: number };

const toColumns = (requests: readonly IndexedRequest[]) =>
  [
    requests.map(({ index }) => index),
    requests.map(({ actor }) => actor.id),
    requests.map(({ conversationId }) => conversationId),
    ...toTokenColumns(requests.map(({ session }) => session)),
  ] as const;

type Columns = ReturnType<typeof toColumns>;

/** Selects the requests with access, all by actors of one kind, and their participants. */
const selectActorsWithAccess = (
  db: Db,
  kind: ActorRef['kind'],
  [indexes, actorIds, conversationIds, ...tokens]: Columns,
) =>
  db
    .selectFrom(
      sql<{ index: number; actorId: number; conversationId: ConversationId }>`unnest(
        ${indexes}::int[], ${actorIds}::int[], ${conversationIds}::int[], ${tokenArrays(tokens)}
      )`.as<'input'>(sql`input(index, actor_id, conversation_id, ${TOKEN_COLUMNS})`),
    )
    .innerJoin(accessTable(kind), (join) =>
      join
        .onRef('access.conversationId', '=', 'input.conversationId')
        .onRef('access.actorId', '=', 'input.actorId'),
    )
    .select(['input.index', 'access.participantId']);

const selectUserSenders = (db: Db, columns: Columns) =>
  selectActorsWithAccess(db, 'user', columns)
    .innerJoin('users', (join) => join.on('users.id', '=', sql.ref<UserId>('access.actor_id')))
    .leftJoin('presence', (join) =>
      join.on('presence.actorKind', '=', 'user').onRef('presence.actorId', '=', 'users.id'),
    )
    .select([...USER_COLUMNS, isOnline, isActiveToken.user.as('isActive')]);

const selectDeviceSenders = (db: Db, columns: Columns) =>
  selectActorsWithAccess(db, 'device', columns)
    .innerJoin('devices', (join) => join.on('devices.id', '=', sql.ref<DeviceId>('access.actor_id')))
    .leftJoin('presence', (join) =>
      join.on('presence.actorKind', '=', 'device').onRef('presence.actorId', '=', 'devices.id'),
    )
    .select([...DEVICE_COLUMNS, isOnline, isActiveToken.device.as('isActive')]);

const createSelects = (messageId: RawBuilder<MessageId>) => ({
  ofUsers: compileOnce((db, ...columns: Columns) =>
    selectUserSenders(db, columns).select([messageId.as('messageId'), CURRENT_TIME]),
  ),
  ofDevices: compileOnce((db, ...columns: Columns) =>
    selectDeviceSenders(db, columns).select([messageId.as('messageId'), CURRENT_TIME]),
  ),
});

const senders = createSelects(sql`0`);
const sendersOfMessages = createSelects(sql`nextval('messages_id_seq')::int`);
