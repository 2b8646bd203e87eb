import { expect } from 'vitest';
import type { Entity } from '../../../../src/testing/index.ts';
import { sendMessage } from '../../../harness/ann-and-bob.ts';
import { success } from '../check.ts';
import type { Cell, Check } from '../check.ts';
import type { MatrixClient } from '../client.ts';
import { annSender, doneMessage, pendingMessage } from './frames.ts';

export const receiveCheck: Check = {
  title: 'receives',
  description:
    'Every channel that the server emits on: `message`, `media`, `writing`, `circle`, `circle_invite`, `conversation`, `device created`, `webrtc_config`, `webrtc_forward`; each with its exact payload.',
  async run(cell) {
    using client = await cell.connectInRooms();
    await expectCircleFrames(cell, client);
    await expectConversationFrames(cell, client);
    await expectMessageFrames(cell, client);
    await expectFileFrames(cell, client);
    await expectSignalFrames(cell, client);
    return undefined;
  },
};

async function expectCircleFrames(
  { runMutation, ann, bob, circle }: Cell,
  client: MatrixClient,
): Promise<void> {
  const circle_id = circle.legacyId;
  await runMutation('updateCircle', { circleId: circle.id, name: 'Clan' });
  expect(await client.next()).toEqual(['circle', { event: 'update', circle_id }]);
  const otherCircle = await runMutation('createCircle', { name: 'Another' });
  const invitation = await runMutation('inviteToCircle', { circleId: otherCircle.id, email: bob.login });
  expect(await client.next()).toEqual([
    'circle_invite',
    {
      event: 'invite',
      circle_id: otherCircle.legacyId,
      circle_invite_id: Number(invitation.id.split(':')[1]),
    },
  ]);

  const { addDevice } = await ann.graphql.run<{ addDevice: { device: Entity } }>(
    'mutation ($id: ID!) { addDevice(circleId: $id, name: "Kitchen") { device { id legacyId } } }',
    { id: circle.id },
  );
  const { device } = addDevice;
  expect(await client.next()).toEqual(['device created', { circle_id }]);
  await runMutation('updateDevice', { deviceId: device.id, name: 'Hall' });
  expect(await client.next()).toEqual([
    'circle',
    { event: 'device', type: 'update', device_id: device.legacyId, circle_id },
  ]);
  await runMutation('removeDevice', { deviceId: device.id });
}

async function expectConversationFrames(cell: Cell, client: MatrixClient): Promise<void> {
  const { runMutation, ann, bob, circle, conversation, conversationRef } = cell;
  await runMutation('updateConversation', { conversationId: conversation.id, name: 'Chat' });
  expect(await client.next()).toEqual(['conversation', { event: 'update', ...conversationRef }]);

  const createConversation = async () => {
    const { id, legacyId } = await runMutation('createConversation', {
      circleId: circle.id,
      name: 'Aside',
      emails: [bob.login],
    });
    const ref = { conversation_id: legacyId };
    expect(await client.next()).toEqual(['conversation', { event: 'invite', ...ref }]);
    return { id, ref };
  };
  const first = await createConversation();
  await runMutation('promoteInConversation', { conversationId: first.id, email: bob.login });
  expect(await client.next()).toEqual(['conversation', { event: 'promoted', ...first.ref }]);
  const second = await createConversation();
  await client.request('join_conversation', second.ref);
  await runMutation('kickFromConversation', { conversationId: second.id, email: bob.login });
  expect(await client.next()).toEqual([
    'conversation',
    { event: 'kick', user: bob.login, from: ann.login, ...second.ref },
  ]);
}

async function expectMessageFrames(cell: Cell, client: MatrixClient): Promise<void> {
  const { ann, runMutation, conversation, conversationRef } = cell;
  const { message } = (await sendMessage(ann, conversation, 'Bonjour')).sendMessage;
  const { legacyId: id } = message;
  expect(await client.next()).toEqual(['message', doneMessage(cell, 'ann', { id, content: 'Bonjour' })]);
  await runMutation('updateMessage', { messageId: message.id, text: 'Bonsoir' });
  expect(await client.next()).toEqual(['message', { ...conversationRef, message_id: id, event: 'update' }]);
  await runMutation('deleteMessage', { messageId: message.id });
  expect(await client.next()).toEqual(['message', { ...conversationRef, message_id: id, event: 'delete' }]);
  // Ends the typing, too: otherwise its expiry after 15 s would reach the client of a later check.
  for (const isTyping of [true, false]) {
    await ann.graphql.run(
      'mutation ($id: ID!, $isTyping: Boolean!) { setTyping(conversationId: $id, isTyping: $isTyping) }',
      { id: conversation.id, isTyping },
    );
    expect(await client.next()).toEqual([
      'writing',
      { ...conversationRef, device: false, user: ann.login, is_writing: isTyping },
    ]);
  }
}

/** Expects the frames of an own file, and of one of another account until it is uploaded. */
async function expectFileFrames(cell: Cell, client: MatrixClient): Promise<void> {
  const { app, ann, conversation, conversationRef } = cell;
  const file = {
    id: expect.any(Number),
    filename: null,
    extension: null,
    identifier: 'a.png',
    uploaded: 'False',
  };
  expect(await client.request('message', { ...conversationRef, files: ['a.png'] })).toEqual([
    ['media', { media_list: [file], message_id: expect.any(Number) }],
    success({ received: true, message_id: expect.any(Number) }),
    ['message', pendingMessage(cell, 'bob', { content: '', medias: 1 })],
  ]);

  const { message, media } = (await sendMessage(ann, conversation, 'Look', ['b.png'])).sendMessage;
  const pendingFrame = pendingMessage(cell, 'ann', { id: message.legacyId, content: 'Look', medias: 1 });
  expect(await client.next()).toEqual(['message', pendingFrame]);
  const body = new FormData();
  body.set('file', new Blob(['content']), 'cake.png');
  await fetch(`${app.url}/media/upload/${media[0]?.legacyId}`, {
    method: 'POST',
    body,
    headers: { authorization: ann.token },
  });
  const uploadedFile = {
    id: media[0]?.legacyId,
    filename: 'cake',
    extension: '.png',
    identifier: 'b.png',
    uploaded: 'True',
  };
  const { time, sender } = { time: pendingFrame.message.sent, sender: annSender(cell) };
  expect(await client.next()).toEqual([
    'message',
    { ...pendingFrame, time, sender, media_list: [uploadedFile], media: uploadedFile, status: 'done' },
  ]);
}

async function expectSignalFrames(
  { annLegacyClient, bob, signalFrames }: Cell,
  client: MatrixClient,
): Promise<void> {
  await annLegacyClient.push('webrtc_forward', { user_id: bob.legacyId, message: 'CALLING' });
  expect([await client.next(), await client.next()]).toEqual(signalFrames('CALLING'));
}
