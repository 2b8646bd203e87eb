import { afterEach, beforeEach, expect, test } from 'vitest';
import { createCircle, createConversation, createDevice } from '../../src/testing/index.ts';
import type { Entity, TestAccount, TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';

// The frames that legacy clients receive for the actions of GraphQL clients. golden-frames.test.ts has every frame
// as text.

let app: TestGateway;
let ann: TestAccount;
let bob: TestAccount;
let circle: Entity;
let conversation: Entity;

beforeEach(async () => {
  app = await startTestApp();
  ({ ann, bob, circle, conversation } = await createAnnAndBob(app));
});

afterEach(async () => {
  await app[Symbol.asyncDispose]();
});

async function login(account: TestAccount): Promise<PacketSocket> {
  const client = await openPacketSocket(app.url);
  await client.request('authenticate', { token: account.token });
  return client;
}

/** A client in both rooms that has received all frames so far. */
async function inRooms(account: TestAccount): Promise<PacketSocket> {
  const client = await login(account);
  await client.request('join_circle', { circle_id: circle.legacyId });
  await client.request('join_conversation', { conversation_id: conversation.legacyId });
  return client;
}

const mutate = (account: TestAccount, field: string, variables: Record<string, unknown> = {}) => {
  const types: Record<string, string> = {
    id: 'ID!',
    email: 'String!',
    name: 'String!',
    allowed: 'Boolean!',
    text: 'String!',
  };
  const declared = Object.keys(variables).map((name) => `$${name}: ${types[name]}`);
  const head = declared.length === 0 ? '' : `(${declared.join(', ')})`;
  return account.graphql.run<Record<string, { id: string }>>(
    `mutation ${head} { ${field} { id } }`,
    variables,
  );
};

const event = (channel: string, payload: unknown) => `42["${channel}",${JSON.stringify(payload)}]`;
const ofCircle = (payload: Record<string, unknown>) =>
  event('circle', { ...payload, circle_id: circle.legacyId });
const ofTalk = (payload: Record<string, unknown>) =>
  event('conversation', { ...payload, conversation_id: conversation.legacyId });

/** A barrier: sends a request without a reply. All earlier frames have arrived when it is acknowledged. */
const quiet = (client: PacketSocket) => client.request('unknown');

test('a circle is renamed, joined, left, and deleted', async () => {
  const zoe = await app.createAccount({ email: 'zoe@example.com' });
  await using client = await inRooms(bob);
  await mutate(ann, 'updateCircle(circleId: $id, name: $name)', { id: circle.id, name: 'Clan' });
  expect(await client.next()).toBe(ofCircle({ event: 'update' }));
  const { inviteToCircle } = await mutate(ann, 'inviteToCircle(circleId: $id, email: $email)', {
    id: circle.id,
    email: zoe.login,
  });
  await mutate(zoe, 'acceptCircleInvitation(invitationId: $id)', { id: inviteToCircle?.id });
  expect(await client.next()).toBe(ofCircle({ event: 'join', user: 'zoe@example.com' }));
  await mutate(zoe, 'leaveCircle(circleId: $id)', { id: circle.id });
  expect(await client.next()).toBe(ofCircle({ event: 'quit', user: 'zoe@example.com' }));
  await mutate(ann, 'deleteCircle(circleId: $id)', { id: circle.id });
  expect(await client.next()).toBe(ofCircle({ event: 'delete' }));
  expect(await quiet(client)).toEqual([]);
  expect(await client.request('join_circle', { circle_id: circle.legacyId })).toEqual([
    event('error', "Vous n'appartenez pas a ce cercle"),
  ]);
});

test('a kicked member receives the kick, also in the conversation, and nothing after it', async () => {
  await using victim = await inRooms(bob);
  await using other = await inRooms(ann);
  await other.next('42["circle",{"event":"connect"').catch(() => '');
  await mutate(ann, 'kickFromCircle(circleId: $id, email: $email)', { id: circle.id, email: bob.login });
  const heard = [await victim.next('42["c'), await victim.next('42["c')].filter(
    (packet) => !packet.includes('"connect"'),
  );
  if (heard.length < 2) heard.push(await victim.next('42["c'));
  expect(heard.toSorted()).toEqual([
    ofCircle({ event: 'kick', user: 'bob@example.com', from: 'ann@example.com' }),
    ofTalk({ event: 'kick', user: 'bob@example.com', from: 'ann@example.com' }),
  ]);
  await mutate(ann, 'updateCircle(circleId: $id, name: $name)', { id: circle.id, name: 'Smaller' });
  await other.next('42["circle",{"event":"update"');
  expect(await quiet(victim)).toEqual([]);
});

test('a conversation is renamed, left, and opened to the device', async () => {
  const zoe = await app.createAccount({ email: 'zoe@example.com' });
  const yan = await app.createAccount({ email: 'yan@example.com' });
  circle = await createCircle(ann, bob, zoe, yan);
  conversation = await createConversation(ann, circle, bob, zoe, yan);
  await using device = await createDevice(app, ann, circle);
  await using client = await inRooms(bob);
  await mutate(ann, 'updateConversation(conversationId: $id, name: $name)', {
    id: conversation.id,
    name: 'Chat',
  });
  expect(await client.next('42["conv')).toBe(ofTalk({ event: 'update' }));
  await mutate(zoe, 'leaveConversation(conversationId: $id)', { id: conversation.id });
  expect(await client.next('42["conv')).toBe(ofTalk({ event: 'quit', user: 'zoe@example.com' }));
  await mutate(ann, 'kickFromConversation(conversationId: $id, email: $email)', {
    id: conversation.id,
    email: yan.login,
  });
  expect(await client.next('42["conv')).toBe(
    ofTalk({ event: 'kick', user: 'yan@example.com', from: 'ann@example.com' }),
  );
  await mutate(ann, 'setDeviceAccess(conversationId: $id, allowed: $allowed)', {
    id: conversation.id,
    allowed: true,
  });
  expect(await client.next('42["conv')).toBe(ofTalk({ event: 'device', type: 'add' }));
  await using machine = await login(device);
  await machine.request('join_conversation', { conversation_id: conversation.legacyId });
  await mutate(ann, 'setDeviceAccess(conversationId: $id, allowed: $allowed)', {
    id: conversation.id,
    allowed: false,
  });
  expect(await client.next('42["conv')).toBe(ofTalk({ event: 'device', type: 'remove' }));
  expect(await machine.next()).toBe(ofTalk({ event: 'device', type: 'remove' }));
  await sendMessage(ann, conversation, 'without the device');
  await client.next('42["message"');
  expect(await quiet(machine)).toEqual([]);
});

test('an invitation to a circle, one to a conversation, and a promotion reach only the newest connection', async () => {
  const zoe = await app.createAccount({ email: 'zoe@example.com' });
  await using older = await login(zoe);
  await using newer = await login(zoe);
  const { inviteToCircle } = await mutate(ann, 'inviteToCircle(circleId: $id, email: $email)', {
    id: circle.id,
    email: zoe.login,
  });
  const invitationId = Number(inviteToCircle?.id.split(':')[1]);
  expect(await newer.next()).toBe(
    event('circle_invite', { event: 'invite', circle_id: circle.legacyId, circle_invite_id: invitationId }),
  );
  await mutate(zoe, 'acceptCircleInvitation(invitationId: $id)', { id: inviteToCircle?.id });
  await using room = await inRooms(bob);
  await mutate(ann, 'inviteToConversation(conversationId: $id, email: $email)', {
    id: conversation.id,
    email: zoe.login,
  });
  expect(await newer.next()).toBe(ofTalk({ event: 'invite' }));
  newer.socket.close();
  // After the newer connection is released, forwards to the account arrive here.
  const forwarded = async () => {
    await room.request('webrtc_forward', { email: zoe.login });
    return older.pending().length;
  };
  await expect.poll(forwarded).toBeGreaterThan(0);
  await mutate(ann, 'promoteInConversation(conversationId: $id, email: $email)', {
    id: conversation.id,
    email: zoe.login,
  });
  expect(await older.next('42["conv')).toBe(ofTalk({ event: 'promoted' }));
  expect((await quiet(older)).filter((packet) => packet.startsWith('42["conv'))).toEqual([]);
  expect((await quiet(room)).filter((packet) => packet.startsWith('42["conv'))).toEqual([]);
});

test('a device is added, renamed, comes online, goes offline, and is removed', async () => {
  await using client = await inRooms(bob);
  const device = await createDevice(app, ann, circle);
  const id = device.legacyId;
  expect(await client.next()).toBe(event('device created', { circle_id: circle.legacyId }));
  await mutate(ann, 'updateDevice(deviceId: $id, name: $name)', { id: device.id, name: 'Hall' });
  expect(await client.next()).toBe(ofCircle({ event: 'device', type: 'update', device_id: id }));
  const machine = await login(device);
  expect(await client.next()).toBe(ofCircle({ event: 'device', type: 'connect', device_id: id }));
  machine.socket.close();
  expect(await client.next()).toBe(ofCircle({ event: 'device', type: 'disconnect', device_id: id }));
  await using again = await login(device);
  expect(await client.next()).toBe(ofCircle({ event: 'device', type: 'connect', device_id: id }));
  await again.request('join_circle', { circle_id: circle.legacyId });
  await mutate(ann, 'removeDevice(deviceId: $id)', { id: device.id });
  expect(await client.next()).toBe(ofCircle({ event: 'device', type: 'disconnect', device_id: id }));
  const goodbye = [await again.next(), await again.next(), await again.next()];
  expect(goodbye.toSorted()).toEqual(
    [
      '41',
      event('error', 'User not found'),
      ofCircle({ event: 'device', type: 'disconnect', device_id: id }),
    ].toSorted(),
  );
  expect(goodbye.indexOf('41')).toBe(2);
  expect(await quiet(client)).toEqual([]);
  await device[Symbol.asyncDispose]();
});

test('a removed device that was offline sends no frame', async () => {
  await using client = await inRooms(bob);
  const device = await createDevice(app, ann, circle);
  await client.next('42["device created"');
  await mutate(ann, 'removeDevice(deviceId: $id)', { id: device.id });
  expect(await quiet(client)).toEqual([]);
  await device[Symbol.asyncDispose]();
});

test('a user comes online with the first connection and goes offline after the last, once', async () => {
  await using client = await inRooms(bob);
  const first = await login(ann);
  expect(await client.next()).toBe(ofCircle({ event: 'connect', user: 'ann@example.com' }));
  const second = await login(ann);
  first.socket.close();
  second.socket.close();
  expect(await client.next()).toBe(ofCircle({ event: 'disconnect', user: 'ann@example.com' }));
  await using third = await login(ann);
  expect(await client.next()).toBe(ofCircle({ event: 'connect', user: 'ann@example.com' }));
  expect(await quiet(third)).toEqual([]);
});

test('a logout closes only the sockets of that token', async () => {
  const { login: again } = await app.graphql.run<{ login: { token: string } }>(
    'mutation { login(email: "bob@example.com", password: "correct horse") { token } }',
  );
  await using kept = await openPacketSocket(app.url);
  await kept.request('authenticate', { token: again.token });
  await using ended = await inRooms(bob);
  await bob.graphql.run('mutation { logout }');
  expect(await ended.next('42["error"')).toBe(event('error', 'User not found'));
  expect(await ended.next()).toBe('41');
  await ended.waitForClose();
  expect(await kept.request('join_circle', { circle_id: circle.legacyId })).toHaveLength(1);
  await using refused = await openPacketSocket(app.url);
  expect(await refused.request('authenticate', { token: bob.token })).toEqual([
    event('error', 'User not found'),
  ]);
});

test('a deleted account leaves its rooms with their frames, and its sockets close', async () => {
  await using client = await inRooms(bob);
  await using gone = await inRooms(ann);
  await ann.graphql.run('mutation { deleteAccount(password: "correct horse") { id } }');
  expect(await client.next('42["circle",{"event":"quit"')).toBe(
    ofCircle({ event: 'quit', user: 'ann@example.com' }),
  );
  expect(await client.next('42["conv')).toBe(ofTalk({ event: 'quit', user: 'ann@example.com' }));
  expect(await gone.next('42["error"')).toBe(event('error', 'User not found'));
  await gone.waitForClose();
});
