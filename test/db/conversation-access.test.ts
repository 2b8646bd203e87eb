import { expect, test } from 'vitest';
import type { ActorRef } from '../../src/actor.ts';
import {
  findConversationAccess,
  findAccessibleConversations,
  findActorsWithAccess,
  checkAccess,
} from '../../src/db/conversation-access.ts';
import { findReadable as findReadableMedia } from '../../src/db/media.ts';
import { findReadable as findReadableMessages } from '../../src/db/messages.ts';
import type { Conversation } from '../../src/db/tables.ts';
import * as conversations from '../../src/domain/conversations.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { sendMessage } from '../../src/domain/messages.ts';
import { openTyping, setTyping } from '../../src/domain/typing.ts';
import { createChangingRule } from '../harness/access-rule.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createConversation,
  createDevice,
  createUsers,
  readErrorCode,
  createSession,
} from '../harness/domain-fixtures.ts';

/** The conversations to which each actor has access. */
type AccessTable = Readonly<Record<string, readonly [ActorRef, ...string[]]>>;

/** Expects each operation to allow what the table says, for each actor and conversation. */
async function expectAccess(
  deps: Deps,
  all: Readonly<Record<string, readonly [Conversation, owner: ActorRef]>>,
  table: AccessTable,
): Promise<void> {
  const { db } = deps;
  for (const [conversationName, [conversation, owner]] of Object.entries(all)) {
    const { message, media } = await sendMessage(deps, owner, {
      conversationId: conversation.id,
      text: 'a message',
      files: ['a file'],
    });
    const [file] = media;
    if (file === undefined) throw new Error('The message has no media.');
    const operations: Readonly<Record<string, (actor: ActorRef, of: Conversation) => Promise<boolean>>> = {
      findConversationAccess: async (actor, { id }) =>
        (await findConversationAccess(db, actor, id)) !== undefined,
      findAccessibleConversations: async (actor, { id, circleId }) =>
        (await findAccessibleConversations(db, actor, [circleId])).some((found) => found.id === id),
      findActorsWithAccess: async (actor, { id }) =>
        (await findActorsWithAccess(db, [{ actor, conversationId: id }]))[0] !== undefined,
      checkAccess: async (actor, { id }) =>
        (await checkAccess(db, [{ actor, conversationId: id }]))[0] === true,
      'reading a message': async (actor) =>
        (await findReadableMessages(db, actor, [message.id])).length === 1,
      'reading media': async (actor) => (await findReadableMedia(db, actor, file.id)) !== undefined,
      sending: (actor, { id }) =>
        isAllowed(sendMessage(deps, actor, { conversationId: id, text: 'another' })),
      typing: (actor, { id }) => isAllowed(setTyping(deps, actor, { conversationId: id, isTyping: true })),
      'subscribing to events': (actor, { id }) =>
        isOpened(
          conversations.openConversationEvents(deps, createSession(actor), {
            conversationId: id,
            after: null,
          }),
        ),
      'subscribing to typing': (actor, { id }) =>
        isOpened(openTyping(deps, createSession(actor), { conversationId: id }, undefined)),
    };
    for (const [actorName, [actor, ...accessible]] of Object.entries(table))
      for (const [operationName, isAllowedTo] of Object.entries(operations))
        expect([actorName, operationName, conversationName, await isAllowedTo(actor, conversation)]).toEqual([
          actorName,
          operationName,
          conversationName,
          accessible.some((name) => name === conversationName),
        ]);
  }
}

async function isAllowed(attempt: Promise<unknown>): Promise<boolean> {
  const code = await readErrorCode(attempt);
  if (code !== 'done') expect(code).toBe('NOT_FOUND');
  return code === 'done';
}

const isOpened = (opening: Promise<{ return(): Promise<unknown> }>): Promise<boolean> =>
  isAllowed(opening.then((stream) => stream.return()));

test('all operations agree about access, for each actor and conversation, and after a change of the rule', async () => {
  const rule = createChangingRule();
  await using deps = await createTestDeps({ wrapDb: rule.wrapDb });
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const circle = await createCircle(deps, ann, bob);
  const otherCircle = await createCircle(deps, eve, ann);
  const [device, otherDevice] = [
    await createDevice(deps, circle, ann),
    await createDevice(deps, otherCircle, eve),
  ];
  const conversationsByName = {
    both: [await createConversation(deps, circle, ann, bob), ann.actor],
    'ann alone': [await createConversation(deps, circle, ann), ann.actor],
    'ann and the device': [await createConversation(deps, circle, ann), ann.actor],
    'eve alone': [await createConversation(deps, otherCircle, eve), eve.actor],
    'eve and the device': [await createConversation(deps, otherCircle, eve), eve.actor],
  } as const;
  for (const name of ['ann and the device', 'eve and the device'] as const) {
    const [{ id }, owner] = conversationsByName[name];
    await conversations.setDeviceAccess(deps, owner, { conversationId: id, allowed: true });
  }
  await expectAccess(deps, conversationsByName, {
    ann: [ann.actor, 'both', 'ann alone', 'ann and the device'],
    bob: [bob.actor, 'both'],
    eve: [eve.actor, 'eve alone', 'eve and the device'],
    device: [device, 'ann and the device'],
    otherDevice: [otherDevice, 'eve and the device'],
  });

  using _tightened = rule.tighten();
  await expectAccess(deps, conversationsByName, {
    ann: [ann.actor, 'both', 'ann alone', 'ann and the device'],
    bob: [bob.actor],
    eve: [eve.actor, 'eve alone', 'eve and the device'],
    device: [device],
    otherDevice: [otherDevice],
  });
});
