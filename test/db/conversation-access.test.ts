import { expect, test } from 'vitest';
import type { ActorRef } from '../../src/actor.ts';
import { findAccess, findAccessible, findAccesses, haveAccess } from '../../src/db/conversation-access.ts';
import { findReadable as findReadableMedia } from '../../src/db/media.ts';
import { findReadable as findReadableMessages } from '../../src/db/messages.ts';
import type { Conversation } from '../../src/db/tables.ts';
import * as conversations from '../../src/domain/conversations.ts';
import { sendMessage } from '../../src/domain/messages.ts';
import { openTyping, setTyping } from '../../src/domain/typing.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createConversation,
  createDevice,
  createUser,
  readErrorCode,
  createSession,
} from '../harness/domain-fixtures.ts';

test('all operations agree about access, for each actor and conversation', async () => {
  await using deps = await createTestDeps();
  const { db } = deps;
  const [ann, bob, eve] = [
    await createUser(deps, 'ann'),
    await createUser(deps, 'bob'),
    await createUser(deps, 'eve'),
  ];
  const circle = await createCircle(deps, ann, bob);
  const other = await createCircle(deps, eve, ann);
  const [device, otherDevice] = [await createDevice(deps, circle, ann), await createDevice(deps, other, eve)];
  const all = {
    both: await createConversation(deps, circle, ann, bob),
    'ann alone': await createConversation(deps, circle, ann),
    'ann and the device': await createConversation(deps, circle, ann),
    'eve alone': await createConversation(deps, other, eve),
    'eve and the device': await createConversation(deps, other, eve),
  };
  const withDevice = ['ann and the device', 'eve and the device'] as const;
  for (const name of withDevice) {
    const { actor } = name.startsWith('ann') ? ann : eve;
    await conversations.setDeviceAccess(deps, actor, { conversationId: all[name].id, allowed: true });
  }
  const access: Readonly<Record<string, readonly [ActorRef, ...(keyof typeof all)[]]>> = {
    ann: [ann.actor, 'both', 'ann alone', 'ann and the device'],
    bob: [bob.actor, 'both'],
    eve: [eve.actor, 'eve alone', 'eve and the device'],
    device: [device, 'ann and the device'],
    otherDevice: [otherDevice, 'eve and the device'],
  };

  for (const [conversationName, conversation] of Object.entries(all)) {
    const owner = conversation.circleId === circle.id ? ann.actor : eve.actor;
    const { message, media } = await sendMessage(deps, owner, {
      conversationId: conversation.id,
      text: 'a message',
      files: ['a file'],
    });
    const [file] = media;
    if (file === undefined) throw new Error('The message has no media.');
    const ways: Readonly<Record<string, (actor: ActorRef, of: Conversation) => Promise<boolean>>> = {
      findAccess: async (actor, { id }) => (await findAccess(db, actor, id)) !== undefined,
      findAccessible: async (actor, { id, circleId }) =>
        (await findAccessible(db, actor, [circleId])).some((found) => found.id === id),
      findAccesses: async (account, { id }) =>
        (await findAccesses(db, [{ account, conversationId: id }]))[0] !== undefined,
      haveAccess: async (account, { id }) =>
        (await haveAccess(db, [{ account, conversationId: id }]))[0] === true,
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
    for (const [actorName, [actor, ...accessible]] of Object.entries(access))
      for (const [way, decide] of Object.entries(ways))
        expect([actorName, way, conversationName, await decide(actor, conversation)]).toEqual([
          actorName,
          way,
          conversationName,
          accessible.some((name) => name === conversationName),
        ]);
  }
});

async function isAllowed(attempt: Promise<unknown>): Promise<boolean> {
  const code = await readErrorCode(attempt);
  if (code !== 'done') expect(code).toBe('NOT_FOUND');
  return code === 'done';
}

const isOpened = (opening: Promise<{ return(): Promise<unknown> }>): Promise<boolean> =>
  isAllowed(opening.then((stream) => stream.return()));
