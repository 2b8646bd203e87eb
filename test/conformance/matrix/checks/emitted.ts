import { expect } from 'vitest';
import type { Entity } from '../../../../src/testing/index.ts';
import { sendMessage } from '../../../harness/ann-and-bob.ts';
import { success } from '../check.ts';
import type { Cell, Check } from '../check.ts';
import type { MatrixClient } from '../client.ts';
import { annAsSender, doneMessage, pendingMessage } from './frames.ts';

export const hears: Check = {
  title: 'receives',
  about:
    'Every channel that the server emits on: `message`, `media`, `writing`, `circle`, `circle_invite`, `conversation`, `device created`, `webrtc_config`, `webrtc_forward`; each with its exact payload.',
  async run(cell) {
    using client = await cell.openInRooms();
    await hearsCircles(cell, client);
    await hearsConversations(cell, client);
    await hearsMessages(cell, client);
    await hearsFiles(cell, client);
    await hearsSignals(cell, client);
    return undefined;
  },
};

async function hearsCircles({ act, ann, bob, circle }: Cell, client: MatrixClient): Promise<void> {
  const circle_id = circle.legacyId;
  await act('updateCircle', { circleId: circle.id, name: 'Clan' });
  expect(await client.next()).toEqual(['circle', { event: 'update', circle_id }]);
  const other = await act('createCircle', { name: 'Another' });
  const invitation = await act('inviteToCircle', { circleId: other.id, email: bob.login });
  expect(await client.next()).toEqual([
    'circle_invite',
    { event: 'invite', circle_id: other.legacyId, circle_invite_id: Number(invitation.id.split(':')[1]) },
  ]);

  const { addDevice } = await ann.graphql.run<{ addDevice: { device: Entity } }>(
    'mutation ($id: ID!) { addDevice(circleId: $id, name: "Kitchen") { device { id legacyId } } }',
    { id: circle.id },
  );
  const { device } = addDevice;
  expect(await client.next()).toEqual(['device created', { circle_id }]);
  await act('updateDevice', { deviceId: device.id, name: 'Hall' });
  expect(await client.next()).toEqual([
    'circle',
    { event: 'device', type: 'update', device_id: device.legacyId, circle_id },
  ]);
  await act('removeDevice', { deviceId: device.id });
}

async function hearsConversations(cell: Cell, client: MatrixClient): Promise<void> {
  const { act, ann, bob, circle, conversation, talk } = cell;
  await act('updateConversation', { conversationId: conversation.id, name: 'Chat' });
  expect(await client.next()).toEqual(['conversation', { event: 'update', ...talk }]);

  const create = async () => {
    const created = await act('createConversation', {
      circleId: circle.id,
      name: 'Aside',
      emails: [bob.login],
    });
    const of = { conversation_id: created.legacyId };
    expect(await client.next()).toEqual(['conversation', { event: 'invite', ...of }]);
    return { of, id: created.id };
  };
  const first = await create();
  await act('promoteInConversation', { conversationId: first.id, email: bob.login });
  expect(await client.next()).toEqual(['conversation', { event: 'promoted', ...first.of }]);
  const second = await create();
  await client.ask('join_conversation', second.of);
  await act('kickFromConversation', { conversationId: second.id, email: bob.login });
  expect(await client.next()).toEqual([
    'conversation',
    { event: 'kick', user: bob.login, from: ann.login, ...second.of },
  ]);
}

async function hearsMessages(cell: Cell, client: MatrixClient): Promise<void> {
  const { ann, act, conversation, talk } = cell;
  const { message } = (await sendMessage(ann, conversation, 'Bonjour')).sendMessage;
  const { legacyId: id } = message;
  expect(await client.next()).toEqual(['message', doneMessage(cell, 'ann', { id, content: 'Bonjour' })]);
  await act('updateMessage', { messageId: message.id, text: 'Bonsoir' });
  expect(await client.next()).toEqual(['message', { ...talk, message_id: id, event: 'update' }]);
  await act('deleteMessage', { messageId: message.id });
  expect(await client.next()).toEqual(['message', { ...talk, message_id: id, event: 'delete' }]);
  await ann.graphql.run('mutation ($id: ID!) { setTyping(conversationId: $id, isTyping: true) }', {
    id: conversation.id,
  });
  expect(await client.next()).toEqual([
    'writing',
    { ...talk, device: false, user: ann.login, is_writing: true },
  ]);
}

/** Files of the own account, and one of another, until it is uploaded. */
async function hearsFiles(cell: Cell, client: MatrixClient): Promise<void> {
  const { app, ann, conversation, talk } = cell;
  const file = {
    id: expect.any(Number),
    filename: null,
    extension: null,
    identifier: 'a.png',
    uploaded: 'False',
  };
  expect(await client.ask('message', { ...talk, files: ['a.png'] })).toEqual([
    ['media', { media_list: [file], message_id: expect.any(Number) }],
    success({ received: true, message_id: expect.any(Number) }),
    ['message', pendingMessage(cell, 'bob', { content: '', medias: 1 })],
  ]);

  const { message, media } = (await sendMessage(ann, conversation, 'Look', ['b.png'])).sendMessage;
  const sent = pendingMessage(cell, 'ann', { id: message.legacyId, content: 'Look', medias: 1 });
  expect(await client.next()).toEqual(['message', sent]);
  const body = new FormData();
  body.set('file', new Blob(['content']), 'cake.png');
  await fetch(`${app.url}/media/upload/${media[0]?.legacyId}`, {
    method: 'POST',
    body,
    headers: { authorization: ann.token },
  });
  const uploaded = {
    id: media[0]?.legacyId,
    filename: 'cake',
    extension: '.png',
    identifier: 'b.png',
    uploaded: 'True',
  };
  const { time, sender } = { time: sent.message.sent, sender: annAsSender(cell) };
  expect(await client.next()).toEqual([
    'message',
    { ...sent, time, sender, media_list: [uploaded], media: uploaded, status: 'done' },
  ]);
}

async function hearsSignals({ phone, bob, forwarded }: Cell, client: MatrixClient): Promise<void> {
  await phone.push('webrtc_forward', { user_id: bob.legacyId, message: 'CALLING' });
  expect([await client.next(), await client.next()]).toEqual(forwarded('CALLING'));
}
