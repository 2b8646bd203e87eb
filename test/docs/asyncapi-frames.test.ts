import { expect, test } from 'vitest';
import { emittedChannels, shapesOf } from '../../scripts/legacy-contract.ts';
import { CHANNELS } from '../../src/bridge/contract/channels.ts';
import { createCircle, createConversation, createDevice } from '../../src/testing/index.ts';
import type { TestAccount, TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { nameOf } from './asyncapi-document.ts';

// Checks frames on the wire against the schemas of asyncapi.yaml.

const allNames = () =>
  emittedChannels.flatMap((channel) => Object.keys(shapesOf(channel)).map((shape) => `${channel}.${shape}`));

const run = (account: TestAccount, field: string, variables: Record<string, unknown>) => {
  const types: Record<string, string> = {
    id: 'ID!',
    email: 'String!',
    name: 'String!',
    text: 'String!',
    is: 'Boolean!',
  };
  const declared = Object.keys(variables).map((name) => `$${name}: ${types[name]}`);
  return account.graphql.run(`mutation (${declared.join(', ')}) { ${field} { id } }`, variables);
};

/** Connects a client that records the name of each event it receives. */
async function listen(app: TestGateway, heard: Set<string>): Promise<PacketSocket> {
  const client = await openPacketSocket(app.url);
  client.socket.on('message', (data: Buffer) => {
    const packet = data.toString();
    if (packet.startsWith('42[')) heard.add(nameOf(packet));
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
    const talk = await createConversation(ann, circle, bob, zoe, yan);
    const room = { conversation_id: talk.legacyId };
    const heard = new Set<string>();

    await using phone = await listen(app, heard);
    await phone.request('message', room);
    await phone.request('authenticate', { token: bob.token });
    for (const verb of ['join', 'leave', 'join']) {
      await phone.request(`${verb}_circle`, { circle_id: circle.legacyId });
      await phone.request(`${verb}_conversation`, room);
    }
    for (const name of ['credentials', 'stun_info', 'turn_info']) await phone.request(`webrtc_${name}`);
    await phone.request('message', { ...room, text_message: 'Bonjour', files: ['cake.png'] });
    await phone.request('writing', { ...room, is_writing: true });

    await using device = await createDevice(app, ann, circle);
    await run(ann, 'setDeviceAccess(conversationId: $id, allowed: $is)', { id: talk.id, is: true });
    await using machine = await listen(app, heard);
    await machine.request('authenticate', { token: device.token });
    await machine.request('writing', { ...room, is_writing: false });
    await machine.request('message', { ...room, text_message: 'Of the device' });

    const { sendMessage: sent } = await sendMessage(ann, talk, 'Look', ['a.png', 'b.png']);
    for (const { legacyId } of sent.media) await upload(app, ann, legacyId);
    await run(ann, 'updateMessage(messageId: $id, text: $text)', { id: sent.message.id, text: 'Look!' });
    await run(ann, 'updateCircle(circleId: $id, name: $name)', { id: circle.id, name: 'Clan' });
    await run(ann, 'updateConversation(conversationId: $id, name: $name)', { id: talk.id, name: 'Chat' });
    await run(zoe, 'leaveConversation(conversationId: $id)', { id: talk.id });
    await run(ann, 'kickFromCircle(circleId: $id, email: $email)', { id: circle.id, email: yan.login });

    await using other = await listen(app, heard);
    await other.request('authenticate', { token: pat.token });
    await run(ann, 'inviteToCircle(circleId: $id, email: $email)', { id: circle.id, email: pat.login });
    await using caller = await listen(app, heard);
    await caller.request('authenticate', { token: ann.token });
    await caller.request('webrtc_forward', { user_id: bob.legacyId, message: 'CALLING' });
    await expect.poll(() => [...heard].toSorted(), { timeout: 10_000 }).toEqual(allNames().toSorted());
  },
);

test('every channel replies as its row says, in that order', { timeout: 60_000 }, async () => {
  await using app = await startTestApp();
  const [ann, bob] = [await app.createAccount(), await app.createAccount()];
  const circle = await createCircle(ann, bob);
  const talk = await createConversation(ann, circle, bob);
  const { sendMessage: seen } = await sendMessage(bob, talk, 'seen');
  await sendMessage(bob, talk, 'missed');
  await using callee = await openPacketSocket(app.url);
  await callee.request('authenticate', { token: bob.token });
  const given: Record<string, unknown> = {
    token: ann.token,
    conversation_id: talk.legacyId,
    circle_id: circle.legacyId,
    user_id: bob.legacyId,
    after_message_id: seen.message.legacyId,
  };

  await using client = await openPacketSocket(app.url);
  for (const { name, example, replies } of CHANNELS) {
    if (name === 'message') await client.request('join_conversation', { conversation_id: talk.legacyId });
    const payload = Object.fromEntries(
      Object.entries(example).map(([key, value]) => [key, given[key] ?? value]),
    );
    const heard = (await client.request(name, payload)).map(nameOf);
    const said = replies.map(({ channel, shape }) =>
      shape === undefined ? expect.stringContaining(`${channel}.`) : `${channel}.${shape}`,
    );
    expect({ name, heard }).toEqual({ name, heard: said });
  }
});
