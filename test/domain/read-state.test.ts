import { expect, test } from 'vitest';
import type { ActorRef } from '../../src/actor.ts';
import { actorKey } from '../../src/actor.ts';
import * as eventLog from '../../src/db/event-log.ts';
import * as conversations from '../../src/domain/conversations.ts';
import type { Deps } from '../../src/domain/deps.ts';
import * as messages from '../../src/domain/messages.ts';
import { createReadMarker } from '../../src/domain/read-marker.ts';
import { countUnreadMessages, findLastReadMessages, markRead } from '../../src/domain/read-state.ts';
import { accountTopic, conversationTopic, toEnvelope } from '../../src/events/event.ts';
import type { Envelope, Topic } from '../../src/events/event.ts';
import { TopicLocks } from '../../src/events/topic-locks.ts';
import type { ConversationId, MessageId } from '../../src/ids.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createConversation,
  createDevice,
  createUsers,
  readErrorCode,
} from '../harness/domain-fixtures.ts';
import type { TestUser } from '../harness/domain-fixtures.ts';
import { indexes } from '../harness/numbers.ts';
import { createRandom } from '../harness/random.ts';

async function seed(deps: Deps) {
  const [ann, bob, cid] = await createUsers(deps, 'ann', 'bob', 'cid');
  const circle = await createCircle(deps, ann, bob, cid);
  const conversation = await createConversation(deps, circle, ann, bob, cid);
  const device = await createDevice(deps, circle, ann);
  return { ann, bob, circle, device, conversationId: conversation.id };
}

async function send(deps: Deps, actor: ActorRef, conversationId: ConversationId): Promise<MessageId> {
  const { message } = await messages.sendMessage(deps, actor, { conversationId, text: 'hello' });
  return message.id;
}

/** Reads how far an actor has read a conversation: the number of unread messages, and the id of the newest read one. */
async function readState(deps: Deps, actor: ActorRef, id: ConversationId) {
  const counts = await countUnreadMessages(deps, actor, [id]);
  const last = await findLastReadMessages(deps, actor, [id]);
  return { unread: counts.get(id), last: last.get(id)?.id };
}

async function readLog(deps: Deps, topic: Topic): Promise<Envelope[]> {
  const page = await eventLog.readAfter(deps.db, topic, 0, 1_000_000);
  return (page?.entries ?? []).map(toEnvelope);
}

/** Returns the events about the read state of an actor. */
async function readChanges(deps: Deps, actor: ActorRef) {
  const log = await readLog(deps, accountTopic(actor));
  return log.flatMap(({ event, at }) => (event.type === 'read-state.changed' ? [{ ...event, at }] : []));
}

test('messages of others are unread until they are marked as read, up to a message and only forward', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, conversationId } = await seed(deps);
  const first = await send(deps, ann.actor, conversationId);
  const second = await send(deps, ann.actor, conversationId);
  const own = await send(deps, bob.actor, conversationId);
  expect(await readState(deps, bob.actor, conversationId)).toEqual({ unread: 2, last: undefined });
  expect(await readState(deps, ann.actor, conversationId)).toEqual({ unread: 1, last: undefined });

  const mark = (messageId: MessageId) => markRead(deps, bob.actor, { conversationId, messageId });
  expect(await mark(first)).toMatchObject({ id: conversationId, name: 'A conversation' });
  expect(await readState(deps, bob.actor, conversationId)).toEqual({ unread: 1, last: first });
  await mark(own);
  expect(await readState(deps, bob.actor, conversationId)).toEqual({ unread: 0, last: own });
  await mark(second);
  expect(await readState(deps, bob.actor, conversationId)).toEqual({ unread: 0, last: own });
  expect(await readChanges(deps, bob.actor)).toMatchObject([{ messageId: first }, { messageId: own }]);
  expect(await readChanges(deps, ann.actor)).toEqual([]);
});

test('a deleted message is not unread, and the message before it is the last read one', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, conversationId } = await seed(deps);
  const [first, second, third] = [
    await send(deps, ann.actor, conversationId),
    await send(deps, ann.actor, conversationId),
    await send(deps, ann.actor, conversationId),
  ];
  await markRead(deps, bob.actor, { conversationId, messageId: second });
  await messages.deleteMessage(deps, ann.actor, { messageId: second });
  expect(await readState(deps, bob.actor, conversationId)).toEqual({ unread: 1, last: first });
  await messages.deleteMessage(deps, ann.actor, { messageId: third });
  expect(await readState(deps, bob.actor, conversationId)).toEqual({ unread: 0, last: first });
});

test('a participant and a device start with no unread messages, also when they return', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, device, conversationId } = await seed(deps);
  const setDeviceAccess = (allowed: boolean) =>
    conversations.setDeviceAccess(deps, ann.actor, { conversationId, allowed });
  await setDeviceAccess(true);
  const first = await send(deps, ann.actor, conversationId);
  const second = await send(deps, ann.actor, conversationId);
  await markRead(deps, bob.actor, { conversationId, messageId: first });
  await markRead(deps, device, { conversationId, messageId: first });
  expect(await readState(deps, bob.actor, conversationId)).toEqual({ unread: 1, last: first });
  expect(await readState(deps, device, conversationId)).toEqual({ unread: 1, last: first });

  await conversations.leaveConversation(deps, bob.actor, { conversationId });
  await setDeviceAccess(false);
  for (const actor of [bob.actor, device]) {
    expect(await readState(deps, actor, conversationId)).toEqual({ unread: undefined, last: undefined });
    const marking = markRead(deps, actor, { conversationId, messageId: second });
    expect(await readErrorCode(marking)).toBe('NOT_FOUND');
  }
  const third = await send(deps, ann.actor, conversationId);
  await conversations.inviteToConversation(deps, ann.actor, { conversationId, email: bob.email });
  await setDeviceAccess(true);
  await setDeviceAccess(true);
  for (const actor of [bob.actor, device])
    expect(await readState(deps, actor, conversationId)).toEqual({ unread: 0, last: third });
  await send(deps, ann.actor, conversationId);
  await setDeviceAccess(true);
  for (const actor of [bob.actor, device])
    expect(await readState(deps, actor, conversationId)).toEqual({ unread: 1, last: third });
});

test('a message of another conversation, and one that does not exist, are not found', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, circle, device, conversationId } = await seed(deps);
  const other = await createConversation(deps, circle, ann, bob);
  const messageId = await send(deps, ann.actor, other.id);
  const mark = (actor: ActorRef, id: number) =>
    readErrorCode(markRead(deps, actor, { conversationId, messageId: id as MessageId }));
  expect(await mark(bob.actor, messageId)).toBe('NOT_FOUND');
  expect(await mark(bob.actor, messageId + 1)).toBe('NOT_FOUND');
  expect(await mark(device, messageId)).toBe('NOT_FOUND');
  expect(await readChanges(deps, bob.actor)).toEqual([]);
});

test('concurrent marks are merged, and each is settled by its own message', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, conversationId } = await seed(deps);
  const ids: MessageId[] = [];
  for (const _ of indexes(20)) ids.push(await send(deps, ann.actor, conversationId));
  const newest = ids.at(-1) as MessageId;
  const outcomes = await Promise.all(
    [...ids, (newest + 1) as MessageId].map((messageId) =>
      readErrorCode(markRead(deps, bob.actor, { conversationId, messageId })),
    ),
  );
  expect(outcomes).toEqual([...ids.map(() => 'done'), 'NOT_FOUND']);
  expect(await readState(deps, bob.actor, conversationId)).toEqual({ unread: 0, last: newest });
  const changes = await readChanges(deps, bob.actor);
  expect(changes.map(({ messageId }) => messageId)).toEqual([ids[0], newest]);
});

/** Throws unless the read states moved forward, with 100 ms between two events about a conversation. */
function checkChanges(changes: Awaited<ReturnType<typeof readChanges>>): void {
  for (const ofConversation of Map.groupBy(changes, ({ conversation }) => conversation.id).values())
    for (const [index, change] of ofConversation.entries()) {
      const former = ofConversation[index - 1];
      if (former === undefined) continue;
      expect(change.messageId).toBeGreaterThan(former.messageId);
      expect(Date.parse(change.at) - Date.parse(former.at)).toBeGreaterThanOrEqual(100);
    }
}

test('marks on two nodes publish at most one event in 100 ms, and none is lost', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, conversationId } = await seed(deps);
  const otherNode = createReadMarker({ ...deps, topicLocks: new TopicLocks({ maxWaits: 5 }) });
  const nodes = [deps, { ...deps, readMarker: otherNode }];
  let newest = 0 as MessageId;
  const marks: Promise<unknown>[] = [];
  for (const index of indexes(60)) {
    const messageId = await send(deps, ann.actor, conversationId);
    newest = messageId;
    marks.push(markRead(nodes[index % 2] as Deps, bob.actor, { conversationId, messageId }));
    if (index % 10 === 0) await marks.at(-1);
  }
  await Promise.all(marks);
  expect(await readState(deps, bob.actor, conversationId)).toEqual({ unread: 0, last: newest });
  const changes = await readChanges(deps, bob.actor);
  expect(changes.at(-1)?.messageId).toBe(newest);
  checkChanges(changes);
});

interface Account {
  readonly actor: ActorRef;
  /** The e-mail of a user. */
  readonly email?: string;
  /** Whether it leaves conversations: without two that stay, they would be deleted. */
  readonly leaves: boolean;
}

/** A random history in a few conversations, with the marks that succeeded. */
class History {
  readonly #deps: Deps;
  readonly #admin: TestUser;
  readonly #accounts: readonly Account[];
  readonly #ids: readonly ConversationId[];
  readonly #sent = new Map<ConversationId, { readonly id: MessageId; readonly author: ActorRef }[]>();
  readonly #marked = new Map<string, number>();
  readonly #marks = new Set<Promise<void>>();

  constructor(deps: Deps, admin: TestUser, accounts: readonly Account[], ids: readonly ConversationId[]) {
    this.#deps = deps;
    this.#admin = admin;
    this.#accounts = accounts;
    this.#ids = ids;
    for (const id of ids) this.#sent.set(id, []);
  }

  /** Attempts a random operation. Those of accounts that do not take part are rejected, as expected. */
  async attempt(pick: (below: number) => number): Promise<void> {
    const account = this.#accounts[pick(this.#accounts.length)] as Account;
    const conversationId = this.#ids[pick(this.#ids.length)] as ConversationId;
    const sent = this.#sent.get(conversationId) ?? [];
    const recent = sent[Math.max(0, sent.length - 1 - pick(30))];
    switch (pick(20)) {
      case 0:
        return this.#join(account, conversationId);
      case 1:
        return this.#leave(account, conversationId);
      case 2:
      case 3:
      case 4:
        if (recent !== undefined)
          await readErrorCode(messages.deleteMessage(this.#deps, recent.author, { messageId: recent.id }));
        return;
      case 5:
      case 6:
      case 7:
      case 8:
      case 9:
      case 10:
        if (recent !== undefined) this.#mark(account, conversationId, recent.id);
        return;
      default:
        return this.#send(account, conversationId);
    }
  }

  async #send({ actor }: Account, conversationId: ConversationId): Promise<void> {
    const sending = messages.sendMessage(this.#deps, actor, { conversationId, text: 'hello' });
    if ((await readErrorCode(sending)) !== 'done') return;
    this.#sent.get(conversationId)?.push({ id: (await sending).message.id, author: actor });
  }

  async #join({ email }: Account, conversationId: ConversationId): Promise<void> {
    const { actor: admin } = this.#admin;
    await readErrorCode(
      email === undefined
        ? conversations.setDeviceAccess(this.#deps, admin, { conversationId, allowed: true })
        : conversations.inviteToConversation(this.#deps, admin, { conversationId, email }),
    );
  }

  async #leave({ actor, leaves }: Account, conversationId: ConversationId): Promise<void> {
    if (!leaves) return;
    await readErrorCode(
      actor.kind === 'device'
        ? conversations.setDeviceAccess(this.#deps, actor, { conversationId, allowed: false })
        : conversations.leaveConversation(this.#deps, actor, { conversationId }),
    );
  }

  /** Does not wait for the mark: it may wait for other ones. */
  #mark({ actor }: Account, conversationId: ConversationId, messageId: MessageId): void {
    const marking = readErrorCode(markRead(this.#deps, actor, { conversationId, messageId })).then(
      (outcome) => {
        const key = `${actorKey(actor)} ${conversationId}`;
        if (outcome === 'done') this.#marked.set(key, Math.max(messageId, this.#marked.get(key) ?? 0));
        this.#marks.delete(marking);
      },
    );
    this.#marks.add(marking);
  }

  /** Waits for the marks, and compares all read states with a count by hand. */
  async check(): Promise<void> {
    await Promise.all(this.#marks);
    for (const conversationId of this.#ids) {
      const log = await readLog(this.#deps, conversationTopic(conversationId));
      for (const { actor } of this.#accounts) {
        const expected = this.#countByHand(actor, conversationId, log);
        expect({ actor, ...(await readState(this.#deps, actor, conversationId)) }).toEqual({
          actor,
          ...expected,
        });
      }
    }
  }

  #countByHand(actor: ActorRef, conversationId: ConversationId, log: readonly Envelope[]) {
    const authors = new Map<number, string>();
    /** The newest message when the account joined for the last time. */
    let start: number | undefined;
    let newest = 0;
    for (const { event } of log) {
      if (event.type === 'message.sent') {
        newest = event.message.id;
        const { authorUserId, authorDeviceId } = event.message;
        authors.set(newest, authorUserId === null ? `device:${authorDeviceId}` : `user:${authorUserId}`);
      }
      if (event.type === 'message.deleted') authors.delete(event.messageId);
      const isOwn = 'user' in event && actor.kind === 'user' && event.user.id === actor.id;
      if (event.type === 'participant.joined' && isOwn) start = newest;
      if (event.type === 'participant.left' && isOwn) start = undefined;
      if (event.type === 'device-access.changed' && actor.kind === 'device')
        start = event.allowed ? newest : undefined;
    }
    if (start === undefined) return { unread: undefined, last: undefined };
    // Messages that were marked before the account joined again are older than those since.
    const marked = this.#marked.get(`${actorKey(actor)} ${conversationId}`) ?? 0;
    const position = Math.max(start, marked);
    const ids = [...authors.keys()];
    return {
      unread: ids.filter((id) => id > position && authors.get(id) !== actorKey(actor)).length,
      last: ids.findLast((id) => id <= position),
    };
  }
}

const STEPS = 10_000;
const CHECKS = 10;
const WORKERS = 8;

test('read states equal a count by hand after 10,000 random steps', { timeout: 200_000 }, async () => {
  await using deps = await createTestDeps();
  const [ann, bob, cid, dot] = await createUsers(deps, 'ann', 'bob', 'cid', 'dot');
  const circle = await createCircle(deps, ann, bob, cid, dot);
  const device = await createDevice(deps, circle, ann);
  const accounts: readonly Account[] = [
    ...[ann, bob].map((user) => ({ ...user, leaves: false })),
    ...[cid, dot].map((user) => ({ ...user, leaves: true })),
    { actor: device, leaves: true },
  ];
  const ids: ConversationId[] = [];
  for (const _ of indexes(3)) {
    const { id } = await createConversation(deps, circle, ann, bob, cid, dot);
    await conversations.setDeviceAccess(deps, ann.actor, { conversationId: id, allowed: true });
    ids.push(id);
  }
  const history = new History(deps, ann, accounts, ids);
  const random = createRandom(17);
  const workers = indexes(WORKERS).map(() => createRandom(random(2 ** 31)));
  for (const _ of indexes(CHECKS)) {
    await Promise.all(
      workers.map(async (pick) => {
        for (const __ of indexes(STEPS / CHECKS / WORKERS)) await history.attempt(pick);
      }),
    );
    await history.check();
  }
  for (const { actor } of accounts) {
    const changes = await readChanges(deps, actor);
    expect(changes.length).toBeGreaterThan(0);
    checkChanges(changes);
  }
});
