import { afterEach, beforeEach, expect, test } from 'vitest';
import { createCircle, createConversation, createDevice } from '../../src/testing/index.ts';
import type { Entity, TestAccount, TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { runMutation } from '../harness/run-mutation.ts';

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

/** Logs in a client and joins both rooms. */
async function loginInRooms(account: TestAccount): Promise<PacketSocket> {
  const client = await login(account);
  await client.request('join_circle', { circle_id: circle.legacyId });
  await client.request('join_conversation', { conversation_id: conversation.legacyId });
  return client;
}

const eventFrame = (channel: string, payload: unknown) => `42["${channel}",${JSON.stringify(payload)}]`;
const circleFrame = (payload: Record<string, unknown>) =>
  eventFrame('circle', { ...payload, circle_id: circle.legacyId });
const conversationFrame = (payload: Record<string, unknown>) =>
  eventFrame('conversation', { ...payload, conversation_id: conversation.legacyId });

/** Returns the frames received before the acknowledgement of a request without a reply. It is a barrier. */
const readFrames = (client: PacketSocket) => client.request('unknown');

test('a renamed, joined, left or deleted circle is announced to its room', async () => {
  const zoe = await app.createAccount({ email: 'zoe@example.com' });
  await using client = await loginInRooms(bob);
  await runMutation(ann, 'updateCircle(circleId: $id, name: $name)', { id: circle.id, name: 'Clan' });
  expect(await client.next()).toBe(circleFrame({ event: 'update' }));
  const invitationId = await runMutation(ann, 'inviteToCircle(circleId: $id, email: $email)', {
    id: circle.id,
    email: zoe.login,
  });
  await runMutation(zoe, 'acceptCircleInvitation(invitationId: $id)', { id: invitationId });
  expect(await client.next()).toBe(circleFrame({ event: 'join', user: 'zoe@example.com' }));
  await runMutation(zoe, 'leaveCircle(circleId: $id)', { id: circle.id });
  expect(await client.next()).toBe(circleFrame({ event: 'quit', user: 'zoe@example.com' }));
  await runMutation(ann, 'deleteCircle(circleId: $id)', { id: circle.id });
  expect(await client.next()).toBe(circleFrame({ event: 'delete' }));
  expect(await readFrames(client)).toEqual([]);
  expect(await client.request('join_circle', { circle_id: circle.legacyId })).toEqual([
    eventFrame('error', "Vous n'appartenez pas a ce cercle"),
  ]);
});

test('a kicked member receives the kick, also in the conversation, and nothing after it', async () => {
  await using kickedClient = await loginInRooms(bob);
  await using otherClient = await loginInRooms(ann);
  await kickedClient.next('42["circle",{"event":"connect"');
  await runMutation(ann, 'kickFromCircle(circleId: $id, email: $email)', { id: circle.id, email: bob.login });
  const kicks = [await kickedClient.next(), await kickedClient.next()];
  expect(kicks.toSorted()).toEqual([
    circleFrame({ event: 'kick', user: 'bob@example.com', from: 'ann@example.com' }),
    conversationFrame({ event: 'kick', user: 'bob@example.com', from: 'ann@example.com' }),
  ]);
  await runMutation(ann, 'updateCircle(circleId: $id, name: $name)', { id: circle.id, name: 'Smaller' });
  await otherClient.next('42["circle",{"event":"update"');
  expect(await readFrames(kickedClient)).toEqual([]);
});

test('a renamed or left conversation, and its device access, are announced to its room', async () => {
  const zoe = await app.createAccount({ email: 'zoe@example.com' });
  const yan = await app.createAccount({ email: 'yan@example.com' });
  circle = await createCircle(ann, bob, zoe, yan);
  conversation = await createConversation(ann, circle, bob, zoe, yan);
  await using device = await createDevice(app, ann, circle);
  await using client = await loginInRooms(bob);
  await runMutation(ann, 'updateConversation(conversationId: $id, name: $name)', {
    id: conversation.id,
    name: 'Chat',
  });
  expect(await client.next('42["conv')).toBe(conversationFrame({ event: 'update' }));
  await runMutation(zoe, 'leaveConversation(conversationId: $id)', { id: conversation.id });
  expect(await client.next('42["conv')).toBe(conversationFrame({ event: 'quit', user: 'zoe@example.com' }));
  await runMutation(ann, 'kickFromConversation(conversationId: $id, email: $email)', {
    id: conversation.id,
    email: yan.login,
  });
  expect(await client.next('42["conv')).toBe(
    conversationFrame({ event: 'kick', user: 'yan@example.com', from: 'ann@example.com' }),
  );
  await runMutation(ann, 'setDeviceAccess(conversationId: $id, allowed: $allowed)', {
    id: conversation.id,
    allowed: true,
  });
  expect(await client.next('42["conv')).toBe(conversationFrame({ event: 'device', type: 'add' }));
  await using deviceClient = await login(device);
  await deviceClient.request('join_conversation', { conversation_id: conversation.legacyId });
  await runMutation(ann, 'setDeviceAccess(conversationId: $id, allowed: $allowed)', {
    id: conversation.id,
    allowed: false,
  });
  expect(await client.next('42["conv')).toBe(conversationFrame({ event: 'device', type: 'remove' }));
  expect(await deviceClient.next()).toBe(conversationFrame({ event: 'device', type: 'remove' }));
  await sendMessage(ann, conversation, 'without the device');
  await client.next('42["message"');
  expect(await readFrames(deviceClient)).toEqual([]);
});

test('an invitation to a circle, one to a conversation, and a promotion reach only the newest connection', async () => {
  const zoe = await app.createAccount({ email: 'zoe@example.com' });
  await using olderClient = await login(zoe);
  await using newerClient = await login(zoe);
  const invitationId = await runMutation(ann, 'inviteToCircle(circleId: $id, email: $email)', {
    id: circle.id,
    email: zoe.login,
  });
  const legacyInvitationId = Number(invitationId.split(':')[1]);
  expect(await newerClient.next()).toBe(
    eventFrame('circle_invite', {
      event: 'invite',
      circle_id: circle.legacyId,
      circle_invite_id: legacyInvitationId,
    }),
  );
  await runMutation(zoe, 'acceptCircleInvitation(invitationId: $id)', { id: invitationId });
  await using roomClient = await loginInRooms(bob);
  await runMutation(ann, 'inviteToConversation(conversationId: $id, email: $email)', {
    id: conversation.id,
    email: zoe.login,
  });
  expect(await newerClient.next()).toBe(conversationFrame({ event: 'invite' }));
  newerClient.socket.close();
  // After the newer connection is released, forwards to the account arrive here.
  const forward = async () => {
    await roomClient.request('webrtc_forward', { email: zoe.login });
    return olderClient.pending().length;
  };
  await expect.poll(forward).toBeGreaterThan(0);
  await runMutation(ann, 'promoteInConversation(conversationId: $id, email: $email)', {
    id: conversation.id,
    email: zoe.login,
  });
  expect(await olderClient.next('42["conv')).toBe(conversationFrame({ event: 'promoted' }));
  expect((await readFrames(olderClient)).filter((packet) => packet.startsWith('42["conv'))).toEqual([]);
  expect((await readFrames(roomClient)).filter((packet) => packet.startsWith('42["conv'))).toEqual([]);
});

test('a device that is added, renamed, online, offline or removed is announced to the room of its circle', async () => {
  await using client = await loginInRooms(bob);
  const device = await createDevice(app, ann, circle);
  const id = device.legacyId;
  expect(await client.next()).toBe(eventFrame('device created', { circle_id: circle.legacyId }));
  await runMutation(ann, 'updateDevice(deviceId: $id, name: $name)', { id: device.id, name: 'Hall' });
  expect(await client.next()).toBe(circleFrame({ event: 'device', type: 'update', device_id: id }));
  const deviceClient = await login(device);
  expect(await client.next()).toBe(circleFrame({ event: 'device', type: 'connect', device_id: id }));
  deviceClient.socket.close();
  expect(await client.next()).toBe(circleFrame({ event: 'device', type: 'disconnect', device_id: id }));
  await using secondDeviceClient = await login(device);
  expect(await client.next()).toBe(circleFrame({ event: 'device', type: 'connect', device_id: id }));
  await secondDeviceClient.request('join_circle', { circle_id: circle.legacyId });
  await runMutation(ann, 'removeDevice(deviceId: $id)', { id: device.id });
  expect(await client.next()).toBe(circleFrame({ event: 'device', type: 'disconnect', device_id: id }));
  const lastPackets = [
    await secondDeviceClient.next(),
    await secondDeviceClient.next(),
    await secondDeviceClient.next(),
  ];
  expect(lastPackets.toSorted()).toEqual(
    [
      '41',
      eventFrame('error', 'User not found'),
      circleFrame({ event: 'device', type: 'disconnect', device_id: id }),
    ].toSorted(),
  );
  expect(lastPackets.indexOf('41')).toBe(2);
  expect(await readFrames(client)).toEqual([]);
  await device[Symbol.asyncDispose]();
});

test('a removed device that was offline sends no frame', async () => {
  await using client = await loginInRooms(bob);
  const device = await createDevice(app, ann, circle);
  await client.next('42["device created"');
  await runMutation(ann, 'removeDevice(deviceId: $id)', { id: device.id });
  expect(await readFrames(client)).toEqual([]);
  await device[Symbol.asyncDispose]();
});

test('a user comes online with the first connection and goes offline after the last, once', async () => {
  await using client = await loginInRooms(bob);
  const firstClient = await login(ann);
  expect(await client.next()).toBe(circleFrame({ event: 'connect', user: 'ann@example.com' }));
  const secondClient = await login(ann);
  firstClient.socket.close();
  secondClient.socket.close();
  expect(await client.next()).toBe(circleFrame({ event: 'disconnect', user: 'ann@example.com' }));
  await using thirdClient = await login(ann);
  expect(await client.next()).toBe(circleFrame({ event: 'connect', user: 'ann@example.com' }));
  expect(await readFrames(thirdClient)).toEqual([]);
});

test('a logout closes only the sockets of that token', async () => {
  const { login: secondLogin } = await app.graphql.run<{ login: { token: string } }>(
    'mutation { login(email: "bob@example.com", password: "correct horse") { token } }',
  );
  await using otherClient = await openPacketSocket(app.url);
  await otherClient.request('authenticate', { token: secondLogin.token });
  await using loggedOutClient = await loginInRooms(bob);
  await bob.graphql.run('mutation { logout }');
  expect(await loggedOutClient.next('42["error"')).toBe(eventFrame('error', 'User not found'));
  expect(await loggedOutClient.next()).toBe('41');
  await loggedOutClient.waitForClose();
  expect(await otherClient.request('join_circle', { circle_id: circle.legacyId })).toHaveLength(1);
  await using newClient = await openPacketSocket(app.url);
  expect(await newClient.request('authenticate', { token: bob.token })).toEqual([
    eventFrame('error', 'User not found'),
  ]);
});

test('a deleted account leaves its rooms with their frames, and its sockets close', async () => {
  await using client = await loginInRooms(bob);
  await using deletedClient = await loginInRooms(ann);
  await ann.graphql.run('mutation { deleteAccount(password: "correct horse") { id } }');
  expect(await client.next('42["circle",{"event":"quit"')).toBe(
    circleFrame({ event: 'quit', user: 'ann@example.com' }),
  );
  expect(await client.next('42["conv')).toBe(conversationFrame({ event: 'quit', user: 'ann@example.com' }));
  expect(await deletedClient.next('42["error"')).toBe(eventFrame('error', 'User not found'));
  await deletedClient.waitForClose();
});
