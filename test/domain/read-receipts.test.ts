import { sql } from 'kysely';
import { describe, expect, inject, test, vi } from 'vitest';
import type { ActorRef } from '../../src/actor.ts';
import { block } from '../../src/db/account-blocks.ts';
import * as conversations from '../../src/domain/conversations.ts';
import type { Deps } from '../../src/domain/deps.ts';
import * as messages from '../../src/domain/messages.ts';
import {
  findReceiptsByParticipants,
  findReceiptsOfDevices,
  openReadReceipts,
  setReadReceipts,
} from '../../src/domain/read-receipts.ts';
import { markRead } from '../../src/domain/read-state.ts';
import { conversationTopic } from '../../src/events/event.ts';
import type { ConversationId, MessageId } from '../../src/ids.ts';
import { openTestDatabase } from '../harness/database.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createConversation,
  createDevice,
  createSession,
  createUsers,
  readErrorCode,
  readEventTypes,
} from '../harness/domain-fixtures.ts';
import { countLockWaits, lockRows } from '../harness/lock-rows.ts';
import { followReceipts } from '../harness/read-states.ts';

async function seed(deps: Deps) {
  const [ann, bob, cid, eve] = await createUsers(deps, 'ann', 'bob', 'cid', 'eve');
  const circle = await createCircle(deps, ann, bob, cid, eve);
  const { id: conversationId } = await createConversation(deps, circle, ann, bob, cid);
  const device = await createDevice(deps, circle, ann);
  await conversations.setDeviceAccess(deps, ann.actor, { conversationId, allowed: true });
  return {
    ann,
    bob,
    cid,
    eve,
    circle,
    device,
    conversationId,
    async send(): Promise<MessageId> {
      const { message } = await messages.sendMessage(deps, ann.actor, { conversationId, text: 'hello' });
      return message.id;
    },
    mark: (actor: ActorRef, messageId: MessageId) => markRead(deps, actor, { conversationId, messageId }),
    allow: (allowed: boolean) => setReadReceipts(deps, ann.actor, { conversationId, allowed }),
    /** Reads the receipt of an account, as the viewer sees it. */
    receipt: (viewer: ActorRef, of: ActorRef) => readReceipt(deps, viewer, of, conversationId),
    open: (actor: ActorRef) => openReadReceipts(deps, createSession(actor), conversationId, {}),
  };
}

async function readReceipt(
  deps: Deps,
  viewer: ActorRef,
  of: ActorRef,
  id: ConversationId,
): Promise<MessageId | undefined> {
  if (of.kind === 'device') return (await findReceiptsOfDevices(deps, viewer, [id])).get(id)?.id;
  const participants = (await conversations.findParticipantsByConversations(deps, [id])).get(id) ?? [];
  const ids = participants.filter(({ userId }) => userId === of.id).map((participant) => participant.id);
  return [...(await findReceiptsByParticipants(deps, viewer, ids)).values()][0]?.id;
}

test('members see what the others have read since receipts were turned on, and nothing once they are off', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, cid, eve, device, send, mark, allow, receipt } = await seed(deps);
  const accounts = [bob.actor, device];
  const viewers = [ann.actor, cid.actor, device, bob.actor];
  const expectReceipts = async (expected: MessageId | undefined) => {
    for (const of of accounts) {
      for (const viewer of viewers) expect(await receipt(viewer, of)).toBe(expected);
      expect(await receipt(eve.actor, of)).toBeUndefined();
    }
  };
  const markAll = async (messageId: MessageId) => {
    for (const actor of accounts) await mark(actor, messageId);
  };
  const first = await send();
  await markAll(first);
  await expectReceipts(undefined);
  expect(await allow(true)).toMatchObject({ readReceipts: true });
  await expectReceipts(undefined);
  await markAll(first);
  await expectReceipts(undefined);
  const second = await send();
  await markAll(second);
  await expectReceipts(second);
  await messages.deleteMessage(deps, ann.actor, { messageId: second });
  await expectReceipts(first);

  await allow(false);
  await expectReceipts(undefined);
  await allow(true);
  await expectReceipts(undefined);
  const third = await send();
  await markAll(third);
  await expectReceipts(third);
});

test('the receipts of those who left, were kicked or are blocked are not shown, also when they return', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, cid, device, conversationId, send, mark, allow, receipt } = await seed(deps);
  await allow(true);
  const first = await send();
  for (const actor of [bob.actor, cid.actor, device]) await mark(actor, first);
  await deps.db.transaction().execute((tx) => block(tx, cid.actor, { until: null, reason: 'spam' }));
  expect(await receipt(ann.actor, cid.actor)).toBeUndefined();
  const target = { conversationId, email: bob.email };
  await conversations.kickFromConversation(deps, ann.actor, target);
  await conversations.setDeviceAccess(deps, ann.actor, { conversationId, allowed: false });
  await conversations.inviteToConversation(deps, ann.actor, target);
  await conversations.setDeviceAccess(deps, ann.actor, { conversationId, allowed: true });
  for (const actor of [bob.actor, device]) {
    expect(await receipt(ann.actor, actor)).toBeUndefined();
    const next = await send();
    await mark(actor, next);
    expect(await receipt(ann.actor, actor)).toBe(next);
  }
});

test('only an admin turns receipts on or off, and only a change is an event', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, device, conversationId, circle, allow } = await seed(deps);
  const accounts: ActorRef[] = [ann.actor, bob.actor, eve.actor, device];
  const set = (actor: ActorRef) =>
    readErrorCode(setReadReceipts(deps, actor, { conversationId, allowed: true }));
  expect(await Promise.all(accounts.map(set))).toEqual(['done', 'FORBIDDEN', 'NOT_FOUND', 'FORBIDDEN']);
  await allow(true);
  await allow(false);
  await allow(false);
  const types = await readEventTypes(deps, conversationTopic(conversationId));
  expect(types.filter((type) => type === 'conversation.updated')).toHaveLength(2);

  const created = await conversations.createConversation(deps, ann.actor, {
    circleId: circle.id,
    name: 'With receipts',
    emails: [],
    readReceipts: true,
  });
  expect(created.readReceipts).toBe(true);
});

test('a stream begins with the receipts that there are, and continues with the changes', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, cid, eve, device, send, mark, allow, open } = await seed(deps);
  const beforehand = await open(cid.actor);
  await allow(true);
  const first = await send();
  for (const actor of [bob.actor, device]) await mark(actor, first);
  const receiptOf = (reader: ActorRef, messageId: MessageId) => ({ reader, messageId });
  for (const stream of [beforehand, await open(ann.actor)]) {
    expect((await stream.next()).value).toMatchObject(receiptOf(bob.actor, first));
    expect((await stream.next()).value).toMatchObject(receiptOf(device, first));
    await stream.return();
  }
  expect(await readErrorCode(open(eve.actor))).toBe('NOT_FOUND');

  // What is buffered when receipts are turned off is not delivered.
  const stream = await open(ann.actor);
  await allow(false);
  await allow(true);
  const second = await send();
  await mark(cid.actor, second);
  expect((await stream.next()).value).toMatchObject(receiptOf(cid.actor, second));
});

test('a stream drops the buffered receipt of a participant that leaves, and of a device that loses access', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, cid, device, conversationId, send, mark, allow, open } = await seed(deps);
  await allow(true);
  const stream = await open(ann.actor);
  const messageId = await send();
  for (const actor of [bob.actor, device, cid.actor]) await mark(actor, messageId);
  await conversations.leaveConversation(deps, bob.actor, { conversationId });
  await conversations.setDeviceAccess(deps, ann.actor, { conversationId, allowed: false });
  expect((await stream.next()).value).toMatchObject({ reader: cid.actor });
});

test('with more than 100 participants, receipts are shown and not published', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, conversationId, send, mark, allow, receipt, open } = await seed(deps);
  await allow(true);
  const receipts = followReceipts(deps, [conversationId], () => 0);
  const addParticipants = (from: number, to: number) =>
    sql`
    with added as (
      insert into users (email, first_name, last_name)
      select 'member-' || n, '', '' from generate_series(${from}::int, ${to}::int) as n returning id
    )
    insert into participants (conversation_id, user_id, role) select ${conversationId}, id, 'STANDARD' from added
  `.execute(deps.db);
  await addParticipants(4, 100);
  const first = await send();
  await mark(bob.actor, first);
  expect(receipts.newest(bob.actor, conversationId)).toMatchObject({ messageId: first });
  await addParticipants(101, 101);
  const second = await send();
  await mark(bob.actor, second);
  expect(await receipt(ann.actor, bob.actor)).toBe(second);
  expect(receipts.newest(bob.actor, conversationId)).toMatchObject({ messageId: first });
  const stream = await open(ann.actor);
  await sql`delete from users where email = 'member-101'`.execute(deps.db);
  const third = await send();
  await mark(bob.actor, third);
  expect((await stream.next()).value).toMatchObject({ messageId: third });
});

describe.skipIf(inject('database') !== 'postgres')('locks', () => {
  /** Holds the read state of Bob until a mark of his and the change of the setting wait for it, in this order. */
  async function race(first: 'allow' | 'mark') {
    const { url = '' } = await openTestDatabase();
    await using deps = await createTestDeps();
    const { ann, bob, conversationId, send, mark, allow, receipt } = await seed(deps);
    const receipts = followReceipts(deps, [conversationId], () => 0);
    const messageId = await send();
    await using lock = await lockRows(
      url,
      `select from participants where user_id = ${bob.user.id} for update`,
    );
    const steps = [() => allow(true), () => mark(bob.actor, messageId)];
    const running: Promise<unknown>[] = [];
    for (const step of first === 'allow' ? steps : steps.toReversed()) {
      running.push(step());
      await vi.waitFor(async () => expect(await countLockWaits(deps.db)).toBe(running.length));
    }
    await lock.release();
    await Promise.all(running);
    const published = receipts.newest(bob.actor, conversationId);
    return { messageId, shown: await receipt(ann.actor, bob.actor), published };
  }

  test('a mark that waits while receipts are turned on is shown and published', async () => {
    const { messageId, shown, published } = await race('allow');
    expect(shown).toBe(messageId);
    expect(published).toMatchObject({ messageId });
  });

  test('what a mark reads that receipts wait for stays private', async () => {
    const { shown, published } = await race('mark');
    expect([shown, published]).toEqual([undefined, undefined]);
  });
});
