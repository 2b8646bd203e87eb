import { expect, test } from 'vitest';
import type { ActorRef } from '../../src/actor.ts';
import * as conversations from '../../src/domain/conversations.ts';
import type { Deps } from '../../src/domain/deps.ts';
import * as messages from '../../src/domain/messages.ts';
import { createReadMarker } from '../../src/domain/read-marker.ts';
import { markRead } from '../../src/domain/read-state.ts';
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
import { indexes } from '../harness/numbers.ts';
import { checkChanges, readChanges, readState } from '../harness/read-states.ts';

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
