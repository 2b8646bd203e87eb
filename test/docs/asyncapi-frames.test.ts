import { expect, test } from 'vitest';
import { emittedChannels, readShapes } from '../../scripts/legacy-contract.ts';
import { CHANNELS } from '../../src/bridge/contract/channels.ts';
import { createCircle, createConversation, createDevice } from '../../src/testing/index.ts';
import type { TestAccount, TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { runMutation } from '../harness/run-mutation.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { readEventName } from './asyncapi-document.ts';

// Checks frames on the wire against the schemas of asyncapi.yaml.

const listShapeNames = () =>
  emittedChannels.flatMap((channel) =>
    Object.keys(readShapes(channel)).map((shape) => `${channel}.${shape}`),
  );

/** Connects a client that records the name of each received event. */
async function connectListener(app: TestGateway, received: Set<string>): Promise<PacketSocket> {
  const client = await openPacketSocket(app.url);
  client.socket.on('message', (data: Buffer) => {
    const packet = data.toString();
    if (packet.startsWith('42[')) received.add(readEventName(packet));
  });
  return client;
}

async function upload(app: TestGateway, account: TestAccount, mediaId: number): Promise<void> {
  const body = new FormData();
  body.set('file', new Blob(['content']), 'cake.png');
  const headers = { authorization: account.token };
  const { status } = await fetch(`${app.url}/media/upload/${mediaId}`, { method: 'POST', body, headers });
  expect(status).toBe(200);
}

test(
  'every event that clients receive is in the document, and every event of the document is received',
  { timeout: 60_000 },
  async () => {
    await using app = await startTestApp();
    const [ann, bob, zoe, yan, pat] = [
      await app.createAccount(),
      await app.createAccount(),
      await app.createAccount(),
      await app.createAccount(),
      await app.createAccount(),
    ];
    const circle = await createCircle(ann, bob, zoe, yan);
    const conversation = await createConversation(ann, circle, bob, zoe, yan);
    const conversationPayload = { conversation_id: conversation.legacyId };
    const received = new Set<string>();

    await using legacyClient = await connectListener(app, received);
    await legacyClient.request('message', conversationPayload);
    await legacyClient.request('authenticate', { token: bob.token });
    for (const action of ['join', 'leave', 'join']) {
      await legacyClient.request(`${action}_circle`, { circle_id: circle.legacyId });
      await legacyClient.request(`${action}_conversation`, conversationPayload);
    }
    for (const name of ['credentials', 'stun_info', 'turn_info'])
      await legacyClient.request(`webrtc_${name}`);
    await legacyClient.request('message', {
      ...conversationPayload,
      text_message: 'Bonjour',
      files: ['cake.png'],
    });
    await legacyClient.request('writing', { ...conversationPayload, is_writing: true });

    await using device = await createDevice(app, ann, circle);
    await runMutation(ann, 'setDeviceAccess(conversationId: $id, allowed: $allowed)', {
      id: conversation.id,
      allowed: true,
    });
    await using deviceClient = await connectListener(app, received);
    await deviceClient.request('authenticate', { token: device.token });
    await deviceClient.request('writing', { ...conversationPayload, is_writing: false });
    await deviceClient.request('message', { ...conversationPayload, text_message: 'Of the device' });

    const { sendMessage: result } = await sendMessage(ann, conversation, 'Look', ['a.png', 'b.png']);
    for (const { legacyId } of result.media) await upload(app, ann, legacyId);
    await runMutation(ann, 'updateMessage(messageId: $id, text: $text)', {
      id: result.message.id,
      text: 'Look!',
    });
    await runMutation(ann, 'updateCircle(circleId: $id, name: $name)', { id: circle.id, name: 'Clan' });
    await runMutation(ann, 'updateConversation(conversationId: $id, name: $name)', {
      id: conversation.id,
      name: 'Chat',
    });
    await runMutation(zoe, 'leaveConversation(conversationId: $id)', { id: conversation.id });
    await runMutation(ann, 'kickFromCircle(circleId: $id, email: $email)', {
      id: circle.id,
      email: yan.login,
    });

    await using invitedClient = await connectListener(app, received);
    await invitedClient.request('authenticate', { token: pat.token });
    await runMutation(ann, 'inviteToCircle(circleId: $id, email: $email)', {
      id: circle.id,
      email: pat.login,
    });
    await using caller = await connectListener(app, received);
    await caller.request('authenticate', { token: ann.token });
    await caller.request('webrtc_forward', { user_id: bob.legacyId, message: 'CALLING' });
    await expect
      .poll(() => [...received].toSorted(), { timeout: 10_000 })
      .toEqual(listShapeNames().toSorted());
  },
);

test('every channel sends the documented replies in order', { timeout: 60_000 }, async () => {
  await using app = await startTestApp();
  const [ann, bob] = [await app.createAccount(), await app.createAccount()];
  const circle = await createCircle(ann, bob);
  const conversation = await createConversation(ann, circle, bob);
  const { sendMessage: first } = await sendMessage(bob, conversation, 'seen');
  await sendMessage(bob, conversation, 'missed');
  await using callee = await openPacketSocket(app.url);
  await callee.request('authenticate', { token: bob.token });
  const values: Record<string, unknown> = {
    token: ann.token,
    conversation_id: conversation.legacyId,
    circle_id: circle.legacyId,
    user_id: bob.legacyId,
    after_message_id: first.message.legacyId,
  };

  await using client = await openPacketSocket(app.url);
  for (const { name, example, replies } of CHANNELS) {
    if (name === 'message')
      await client.request('join_conversation', { conversation_id: conversation.legacyId });
    const payload = Object.fromEntries(
      Object.entries(example).map(([key, value]) => [key, values[key] ?? value]),
    );
    const received = (await client.request(name, payload)).map(readEventName);
    const expected = replies.map(({ channel, shape }) =>
      shape === undefined ? expect.stringContaining(`${channel}.`) : `${channel}.${shape}`,
    );
    expect({ name, received }).toEqual({ name, received: expected });
  }
});
