import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { ConversationId, DeviceId, MessageId, ParticipantId, UserId } from '../ids.ts';
import { DEVICE_COLUMNS, USER_COLUMNS, isOnline } from './actors.ts';
import type { ActorRow } from './actors.ts';
import type { Db } from './database.ts';
import type { Timestamp } from './tables.ts';
import type { ActorRef } from '../actor.ts';

/** An account that wants to do something in a conversation. */
export interface AccessRequest {
  readonly account: ActorRef;
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
  /** The moment at which it was found. */
  readonly at: Timestamp;
}

const NO_MESSAGE = sql<MessageId>`0`;
const NEXT_MESSAGE = sql<MessageId>`nextval('messages_id_seq')::int`;
const AT = sql<Timestamp>`clock_timestamp()::timestamptz(3)`.as('at');

/** Undefined when the account does not take part in the conversation. */
export async function findAccess(db: Db, request: AccessRequest): Promise<Access | undefined> {
  const [access] = await findAccesses(db, [request]);
  return access;
}

/** Answers each request in its place; undefined when the account does not take part. */
export async function findAccesses(
  db: Db,
  requests: readonly AccessRequest[],
): Promise<(Access | undefined)[]> {
  const found = await findPlaced(db, requests, NO_MESSAGE);
  return requests.map((_, place) => found.get(place));
}

/**
 * Answers each request in its place, with message ids and moments in the same order; undefined when the account does not take part.
 */
export async function findSenders(
  db: Db,
  requests: readonly AccessRequest[],
): Promise<(Sender | undefined)[]> {
  const found = await findPlaced(db, requests, NEXT_MESSAGE);
  const ids = [...found.values()].map(({ messageId }) => messageId).sort((a, b) => a - b);
  const moments = [...found.values()].map(({ at }) => at).sort();
  return requests.map((_, place) => {
    const sender = found.get(place);
    return (
      sender && { ...sender, messageId: ids.shift() ?? sender.messageId, at: moments.shift() ?? sender.at }
    );
  });
}

/** By the place of their request, in any order. */
async function findPlaced(
  db: Db,
  requests: readonly AccessRequest[],
  messageId: RawBuilder<MessageId>,
): Promise<Map<number, Sender>> {
  const found = new Map<number, Sender>();
  const placed = requests.map((request, place) => ({ ...request, place }));
  const ofUsers = placed.filter(({ account }) => account.kind === 'user');
  const ofDevices = placed.filter(({ account }) => account.kind === 'device');
  if (ofUsers.length > 0) {
    const rows = await userSenders(db, ofUsers)
      .select([messageId.as('messageId'), AT])
      .execute();
    for (const { place, messageId, at, participantId, online, ...user } of rows) {
      found.set(place, { actor: { kind: 'user', user, online }, participantId, messageId, at });
    }
  }
  if (ofDevices.length > 0) {
    const rows = await deviceSenders(db, ofDevices)
      .select([messageId.as('messageId'), AT])
      .execute();
    for (const { place, messageId, at, online, ...device } of rows) {
      found.set(place, { actor: { kind: 'device', device, online }, participantId: null, messageId, at });
    }
  }
  return found;
}

type Placed = AccessRequest & { readonly place: number };

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
