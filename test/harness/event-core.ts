import { sql } from 'kysely';
import type { Db } from '../../src/db/database.ts';
import { createTopics } from '../../src/db/event-log.ts';
import type { User } from '../../src/db/tables.ts';
import { createBus } from '../../src/events/bus.ts';
import type { ClusterLink, Notice } from '../../src/events/bus.ts';
import { encodeCursor } from '../../src/events/cursor.ts';
import type { Epoch } from '../../src/events/cursor.ts';
import { conversationTopic } from '../../src/events/event.ts';
import type { ActorView, DomainEvent, Ephemeral, Topic } from '../../src/events/event.ts';
import { transact } from '../../src/events/unit-of-work.ts';
import type { TransactDeps } from '../../src/events/unit-of-work.ts';
import { openStream } from '../../src/events/open-stream.ts';
import type { EventStream, StreamItem, StreamRequest } from '../../src/events/stream.ts';
import { createEventLog } from '../../src/db/event-log.ts';
import { createTails } from '../../src/events/tail.ts';
import { TopicLocks } from '../../src/events/topic-locks.ts';
import type { Tails } from '../../src/events/tail.ts';
import type { ConversationId, MessageId, ParticipantId, UserId } from '../../src/ids.ts';
import { createLogger } from '../../src/log.ts';
import { openTestDatabase } from './database.ts';
import type { ActorRef } from '../../src/actor.ts';

/** The event layer over a database, without the domain. */
export interface Core extends Node {
  /** URL of the database; undefined if it is embedded. */
  readonly url: string | undefined;
}

interface Node extends TransactDeps {
  readonly epoch: Epoch;
  readonly tails: Tails;
}

const CONVERSATION = 1 as ConversationId;
export const TOPIC: Topic = conversationTopic(CONVERSATION);
export const READER: ActorRef = { kind: 'user', id: 7 as UserId };

const silent = createLogger('silent');

/** Opens the event layer over an emptied database with one topic. */
export async function createTestCore(): Promise<Core> {
  const { db, url, epoch } = await openTestDatabase();
  await db.transaction().execute((tx) => createTopics(tx, [TOPIC]));
  return { url, ...createNode({ db, epoch: { current: epoch } }) };
}

/** Creates the event layer of another node on the same database. It receives only events that a test delivers to its bus. */
export function createNode({ db, ...core }: Pick<Core, 'db' | 'epoch'>): Node {
  const bus = createBus(silent);
  const epoch = { ...core.epoch };
  const ownAppends = { newest: undefined };
  return {
    db,
    bus,
    epoch,
    topicLocks: new TopicLocks({ maxWaits: 5 }),
    ownAppends,
    tails: createTails({ eventLog: createEventLog(db), epoch, ownAppends, bus, log: silent }),
  };
}

/** Creates a cluster link that only sends, and whose receivers confirm nothing. */
export const createLink = (send: (notices: readonly Notice[]) => void): ClusterLink => ({
  nodeId: 'own',
  send,
  async sendConfirmed(notice) {
    send([notice]);
    return new Set();
  },
  follow() {},
  unfollow() {},
  whenFollowed: () => undefined,
});

/** Creates an event that is identified by a number. */
export const createNumberedEvent = (number: number, conversationId = CONVERSATION): DomainEvent => ({
  type: 'message.deleted',
  conversationId,
  messageId: number as MessageId,
});

/** Commits events in one unit of work. */
export async function emitEvents(core: TransactDeps, ...numbers: readonly number[]): Promise<void> {
  await transact(core, async (unit) => {
    for (const number of numbers) unit.emit(createNumberedEvent(number));
  });
}

/** Deletes the events of all topics but for the newest ones of each, as the retention does. */
export async function keepNewest(db: Db, count: number): Promise<void> {
  await sql`
    delete from events using topics where events.topic = topics.topic and seq <= head - ${count}
  `.execute(db);
}

export const readNumber = (event: DomainEvent): number =>
  event.type === 'message.deleted' ? event.messageId : Number.NaN;

export const cursorAt = (core: Core, seq: number, topic = TOPIC): string =>
  encodeCursor(core.epoch.current, topic, seq);

export function openTopic(core: Core, request: Partial<StreamRequest> = {}): Promise<EventStream> {
  return openStream(core, {
    topic: TOPIC,
    actor: READER,
    after: null,
    authorize: async () => {},
    ...request,
  });
}

/** Reads the next items of a stream: the numbers of events, or `live`. */
export async function readNumbers(stream: EventStream, count: number): Promise<(number | 'live')[]> {
  return (await readItems(stream, count)).map((item) =>
    item.type === 'live' ? 'live' : readNumber(item.event),
  );
}

export async function readItems(stream: EventStream, count: number): Promise<StreamItem[]> {
  const items: StreamItem[] = [];
  while (items.length < count) {
    const { value } = await stream.next();
    if (value === undefined) break;
    items.push(value);
  }
  return items;
}

const createUser = (id: number): User => ({
  id: id as UserId,
  email: `user${id}@example.com`,
  firstName: 'User',
  lastName: String(id),
  birthday: null,
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
});

/** Creates a `message.sent` event. */
export const createMessageSent = (number: number, text: string): DomainEvent => ({
  type: 'message.sent',
  message: {
    id: number as MessageId,
    conversationId: CONVERSATION,
    authorUserId: 1 as UserId,
    authorDeviceId: null,
    participantId: 1 as ParticipantId,
    text,
    status: 'DONE',
    mediaCount: 0,
    sentAt: '2026-01-01T00:00:00.000Z',
    updatedAt: '2026-01-01T00:00:00.000Z',
  },
  author: createActorView(1),
  media: [],
});

const createParticipant = (number: number) =>
  ({
    id: number as ParticipantId,
    conversationId: CONVERSATION,
    userId: number as UserId,
    role: 'STANDARD',
    createdAt: '2026-01-01T00:00:00.000Z',
    updatedAt: '2026-01-01T00:00:00.000Z',
  }) as const;

/** Creates the event of a user kicked from the conversation. */
export const createParticipantKicked = (number: number): DomainEvent => ({
  type: 'participant.kicked',
  participant: createParticipant(number),
  user: createUser(number),
  by: createUser(1),
});

/** Creates the event of a user who leaves the conversation because the account is deleted. */
export const createParticipantDeleted = (number: number): DomainEvent => ({
  type: 'participant.left',
  participant: createParticipant(number),
  user: createUser(number),
  deleted: true,
});

/** Creates the view of an online user. */
export const createActorView = (number: number): ActorView => ({
  kind: 'user',
  user: createUser(number),
  online: true,
});

/** Creates the ephemeral event of a user who starts or stops typing. */
export const createTyping = (number: number, isTyping = true): Ephemeral => ({
  type: 'typing',
  topic: TOPIC,
  actor: createActorView(number),
  isTyping,
});
