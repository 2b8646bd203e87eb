import { afterAll, beforeAll, expect, test } from 'vitest';
import { CHANNELS } from '../../src/bridge/contract/channels.ts';
import { createCircle, createConversation, createDevice } from '../../src/testing/index.ts';
import type { Entity, TestAccount, TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';

// The listened channels: their errors, and the order of their replies. golden-frames.test.ts has the whole wire as
// text.

let app: TestGateway;
let ann: TestAccount;
let bob: TestAccount;
let eve: TestAccount;
let device: TestAccount;
let circle: Entity;
let conversation: Entity;
let conversationRef: { conversation_id: number };

beforeAll(async () => {
  app = await startTestApp();
  ({ ann, bob, circle, conversation } = await createAnnAndBob(app));
  eve = await app.createAccount({ email: 'eve@example.com' });
  device = await createDevice(app, ann, circle);
  conversationRef = { conversation_id: conversation.legacyId };
});

afterAll(async () => {
  await device[Symbol.asyncDispose]();
  await app[Symbol.asyncDispose]();
});

async function login(account: TestAccount, protocol: 3 | 4 | 'none' = 3): Promise<PacketSocket> {
  const client = await openPacketSocket(app.url, protocol);
  expect(await client.request('authenticate', { token: account.token })).toEqual([
    success('User authenticated'),
  ]);
  return client;
}

async function loginInRoom(account: TestAccount): Promise<PacketSocket> {
  const client = await login(account);
  await client.request('join_conversation', conversationRef);
  return client;
}

const error = (text: string) => `42["error",${JSON.stringify(text)}]`;
const success = (payload: unknown) => `42["success",${JSON.stringify(payload)}]`;
const setDeviceAccess = (allowed: boolean) =>
  ann.graphql.run(
    'mutation ($id: ID!, $allowed: Boolean!) { setDeviceAccess(conversationId: $id, allowed: $allowed) { id } }',
    {
      id: conversation.id,
      allowed,
    },
  );

test('the listened channels are those of the documentation', () => {
  expect(CHANNELS.map(({ name }) => name)).toEqual([
    'authenticate',
    'join_conversation',
    'leave_conversation',
    'join_circle',
    'leave_circle',
    'message',
    'writing',
    'webrtc_credentials',
    'webrtc_stun_info',
    'webrtc_turn_info',
    'webrtc_forward',
    'webrtc_join_room',
    'webrtc_leave_room',
    'webrtc_room_forward',
  ]);
});

test.for([
  ['authenticate', [], 'Json web token introuvable'],
  ['authenticate', [{ token: null }], 'User not found'],
  ['authenticate', [{ token: 7 }], 'User not found'],
  ['authenticate', [{ token: '' }], 'User not found'],
  ['authenticate', [{ token: 'a.b.c' }], 'User not found'],
  ['join_conversation', [{}], 'Socket user introuvable'],
  ['leave_conversation', [{}], 'Socket user introuvable'],
  ['join_circle', [{}], 'Socket user introuvable, vous devez vous authentifier'],
  ['leave_circle', [{}], 'Socket user introuvable'],
  ['message', [{}], 'Socket user introuvable'],
  ['writing', [{}], 'Socket user introuvable'],
  ['webrtc_credentials', [], 'Socket user introuvable'],
  ['webrtc_forward', [{}], 'Socket user introuvable'],
] as const)('%s with %j before login is rejected with %s', async ([channel, args, text]) => {
  await using client = await openPacketSocket(app.url);
  expect(await client.request(channel, ...args)).toEqual([error(text)]);
});

test.for([
  ['authenticate', {}, 'Json web token introuvable'],
  ['authenticate', { token: 'x' }, 'User not found'],
  ['join_conversation', {}, 'Parameter missing'],
  ['join_conversation', { conversation_id: null }, 'Vous ne faite pas partie de cette conversation'],
  ['join_conversation', { conversation_id: 99_999 }, 'Vous ne faite pas partie de cette conversation'],
  ['join_conversation', { conversation_id: 'x' }, 'Vous ne faite pas partie de cette conversation'],
  ['leave_conversation', {}, 'Parameter conversation_id missing'],
  ['join_circle', {}, 'Parameter missing'],
  ['join_circle', { circle_id: 0 }, "Vous n'appartenez pas a ce cercle"],
  ['join_circle', { circle_id: 99_999 }, "Vous n'appartenez pas a ce cercle"],
  ['leave_circle', {}, 'Parameter circle_id missing'],
  ['message', {}, 'Param conversation_id introuvable'],
  ['message', { text_message: 'x' }, 'Param conversation_id introuvable'],
  ['message', { conversation_id: 0, text_message: 'Appel manqué !' }, 'Conversation introuvable'],
  ['message', { conversation_id: 99_999 }, 'Conversation introuvable'],
  ['message', { conversation_id: null }, 'Conversation introuvable'],
  ['writing', {}, 'Parameter missing'],
  ['writing', { conversation_id: 1 }, 'Parameter missing'],
  ['writing', { is_writing: true }, 'Parameter missing'],
  [
    'writing',
    { conversation_id: 99_999, is_writing: true },
    'Vous ne faite pas partie de cette conversation',
  ],
  ['webrtc_forward', {}, 'Utilisateur introuvable'],
  ['webrtc_forward', { message: 'CALLING' }, 'Utilisateur introuvable'],
  ['webrtc_forward', { email: 'nobody@example.com' }, 'Utilisateur introuvable'],
  ['webrtc_forward', { email: null, user_id: 1 }, 'Utilisateur introuvable'],
  ['webrtc_forward', { user_id: 99_999 }, 'Utilisateur introuvable'],
  ['webrtc_forward', { user_id: 1.5 }, 'Utilisateur introuvable'],
  ['webrtc_forward', { device_id: 99_999 }, 'Utilisateur introuvable'],
] as const)('%s with %j is rejected with %s', async ([channel, payload, text]) => {
  await using client = await login(bob);
  expect(await client.request(channel, payload)).toEqual([error(text)]);
});

test('access to foreign conversations and circles is rejected', async () => {
  await using client = await login(eve);
  const circleRef = { circle_id: circle.legacyId };
  expect(await client.request('join_conversation', conversationRef)).toEqual([
    error('Vous ne faite pas partie de cette conversation'),
  ]);
  expect(await client.request('join_circle', circleRef)).toEqual([
    error("Vous n'appartenez pas a ce cercle"),
  ]);
  expect(await client.request('writing', { ...conversationRef, is_writing: true })).toEqual([
    error('Vous ne faite pas partie de cette conversation'),
  ]);
  expect(await client.request('message', { ...conversationRef, text_message: 'x' })).toEqual([
    error('Vous ne faites pas partie de cette conversation'),
  ]);
  expect(await client.request('webrtc_forward', { email: ann.login })).toEqual([
    error('Utilisateur introuvable'),
  ]);
  expect(await client.request('webrtc_forward', { device_id: device.legacyId })).toEqual([
    error('Utilisateur introuvable'),
  ]);
});

test('a request with several errors gets the first in the table', async () => {
  await using client = await login(eve);
  const text_message = 'x'.repeat(8193);
  expect(await client.request('message', { conversation_id: 99_999, text_message })).toEqual([
    error('Conversation introuvable'),
  ]);
  expect(await client.request('message', { ...conversationRef, text_message })).toEqual([
    error('Vous ne faites pas partie de cette conversation'),
  ]);
  expect(await client.request('message', { conversation_id: 'x', text_message, files: 7 })).toEqual([
    error('Parameter missing'),
  ]);
  for (const conversation_id of [conversationRef.conversation_id, 99_999, 'x']) {
    expect(await client.request('join_conversation', { conversation_id, after_message_id: 'x' })).toEqual([
      error('Parameter missing'),
    ]);
    expect(await client.request('join_conversation', { conversation_id, after_message_id: null })).toEqual([
      error('Vous ne faite pas partie de cette conversation'),
    ]);
  }
});

test('joins and leaves reply with the name of the room', async () => {
  await using client = await login(bob);
  const [circleId, conversationId] = [circle.legacyId, conversation.legacyId];
  expect(await client.request('join_circle', { circle_id: circleId })).toEqual([
    success(`Vous avez rejoins le cercle : circle_${circleId}`),
  ]);
  expect(await client.request('join_circle', { circle_id: `${circleId}` })).toEqual([
    success(`Vous avez rejoins le cercle : circle_${circleId}`),
  ]);
  const joinReply = success(`Vous avez rejoins la conversation : conversation_${conversationId}`);
  expect(await client.request('join_conversation', conversationRef)).toEqual([joinReply]);
  expect(await client.request('join_conversation', JSON.stringify(conversationRef))).toEqual([joinReply]);
  expect(await client.request('join_conversation', conversationRef, { surplus: true }, 7)).toEqual([
    joinReply,
  ]);
  expect(await client.request('leave_conversation', conversationRef)).toEqual([
    success('Vous avez quitte la conversation'),
  ]);
  expect(await client.request('leave_circle', { circle_id: circleId })).toEqual([
    success('Vous avez quitte le cercle'),
  ]);
});

test('leaving a room that is not joined, or does not exist, succeeds', async () => {
  await using client = await login(eve);
  for (const id of [conversation.legacyId, 99_999, 'x', null, true]) {
    expect(await client.request('leave_conversation', { conversation_id: id })).toEqual([
      success('Vous avez quitte la conversation'),
    ]);
    expect(await client.request('leave_circle', { circle_id: id })).toEqual([
      success('Vous avez quitte le cercle'),
    ]);
  }
});

test.for([1.5, true, -1, 2 ** 31, '1.0', '1x', ' 1', [1], { id: 1 }])('the id %j is unknown', async (id) => {
  await using client = await login(bob);
  expect(await client.request('join_conversation', { conversation_id: id })).toEqual([
    error('Vous ne faite pas partie de cette conversation'),
  ]);
  expect(await client.request('message', { conversation_id: id })).toEqual([
    error('Conversation introuvable'),
  ]);
});

test.for(['null', '7', '"text"', '["x"]', '"[1]"', 'true'])(
  'the payload %s counts as empty',
  async (payload) => {
    await using client = await login(bob);
    client.send(`42["join_conversation",${payload}]`);
    expect(await client.next()).toBe(error('Parameter missing'));
  },
);

test('a message without files gets success, and then reaches the room, the sender included', async () => {
  await using sender = await loginInRoom(ann);
  await using otherClient = await loginInRoom(bob);
  const replies = await sender.request('message', { ...conversationRef, text_message: 'Ça va ? 😀' });
  const id = Number(/message_id":(\d+)/.exec(replies[0] ?? '')?.[1]);
  expect(replies[0]).toBe(success({ received: true, message_id: id }));
  expect(replies).toHaveLength(2);
  expect(await otherClient.next()).toBe(replies[1]);
});

test('a frame for protocol 4 is UTF-8', async () => {
  await using otherClient = await login(bob, 4);
  await otherClient.request('join_conversation', conversationRef);
  await using sender = await login(ann);
  await sender.request('message', { ...conversationRef, text_message: 'Ça va ? 😀' });
  expect(await otherClient.next()).toContain('"content":"Ça va ? 😀"');
});

test('a sender outside the room receives only its reply', async () => {
  await using sender = await login(ann);
  expect(await sender.request('message', { ...conversationRef, text_message: 'Appel manqué !' })).toEqual([
    expect.stringMatching(/^42\["success",\{"received":true,"message_id":\d+\}\]$/),
  ]);
  expect(sender.pending()).toEqual([]);
});

test('an empty list of files gets a reply on media; null does not', async () => {
  await using sender = await loginInRoom(ann);
  const channelsOf = (packets: readonly string[]) => packets.map((packet) => /"(\w+)"/.exec(packet)?.[1]);
  const frames = await sender.request('message', { ...conversationRef, files: [] });
  expect(channelsOf(frames)).toEqual(['media', 'success', 'message']);
  expect(frames[0]).toMatch(/^42\["media",\{"media_list":\[\],"message_id":\d+\}\]$/);
  expect(frames[2]).toContain('"media_list":[],"status":"done"');
  expect(channelsOf(await sender.request('message', { ...conversationRef, files: null }))).toEqual([
    'success',
    'message',
  ]);
});

test.for(['file.txt', 7, { 0: 'a' }, true])(
  'files that are %j are rejected and nothing is sent',
  async (files) => {
    await using otherClient = await loginInRoom(bob);
    await using sender = await login(ann);
    expect(await sender.request('message', { ...conversationRef, files })).toEqual([
      error('Parameter missing'),
    ]);
    await sender.request('message', { ...conversationRef, text_message: 'next' });
    expect(await otherClient.next()).toContain('"content":"next"');
  },
);

test.for([
  ['x'.repeat(8193), 'Message invalide'],
  ['a\u0000b', 'Message invalide'],
  ['\ud800', 'Message invalide'],
] as const)('text that cannot be stored is rejected', async ([text, errorText]) => {
  await using sender = await login(ann);
  expect(await sender.request('message', { ...conversationRef, text_message: text })).toEqual([
    error(errorText),
  ]);
});

test.for([
  [null, ''],
  [7, '7'],
  [undefined, ''],
] as const)('the text %j is sent as %j', async ([text, content]) => {
  await using sender = await loginInRoom(ann);
  const [, frame] = await sender.request('message', { ...conversationRef, text_message: text });
  expect(frame).toContain(`"content":${JSON.stringify(content)},"medias":0`);
});

test('a repeated send with the same key gets the same reply and is delivered once', async () => {
  await using otherClient = await loginInRoom(bob);
  await using sender = await login(ann);
  const payload = { ...conversationRef, text_message: 'once', files: ['a.png'], client_message_id: 'm-1' };
  const first = await sender.request('message', payload);
  expect(await sender.request('message', payload)).toEqual(first);
  await sender.request('message', { ...conversationRef, text_message: 'after' });
  expect(await otherClient.next()).toContain('"content":"once"');
  expect(await otherClient.next()).toContain('"content":"after"');
});

test('a device writes and sends in conversations that it has access to, and is rejected in others', async () => {
  await setDeviceAccess(true);
  await using otherClient = await loginInRoom(bob);
  await using client = await login(device);
  expect(await client.request('join_conversation', conversationRef)).toEqual([
    success(`Vous avez rejoins la conversation : conversation_${conversation.legacyId}`),
  ]);
  expect(await client.request('writing', { ...conversationRef, is_writing: true })).toEqual([
    success('Writing sent'),
    `42["writing",{"conversation_id":${conversation.legacyId},"device":true,"is_writing":true}]`,
  ]);
  const [, frame = ''] = await client.request('message', { ...conversationRef, text_message: 'Bip' });
  expect(frame).toContain('"content":"Bip"');
  await otherClient.next('42["writing"');
  expect(await otherClient.next()).toBe(frame);
  await setDeviceAccess(false);
  expect(await client.next()).toBe(
    `42["conversation",{"event":"device","type":"remove","conversation_id":${conversation.legacyId}}]`,
  );
  expect(await client.request('message', { ...conversationRef, text_message: 'x' })).toEqual([
    error('Vous ne faites pas partie de cette conversation'),
  ]);
  expect(await client.request('join_conversation', conversationRef)).toEqual([
    error('Vous ne faite pas partie de cette conversation'),
  ]);
});

test('a device joins its circle with a number or a string', async () => {
  await using client = await login(device);
  const joinReply = success(`Vous avez rejoins le cercle : circle_${circle.legacyId}`);
  // The circle also receives the disconnections of the clients of earlier tests.
  expect(await client.request('join_circle', { circle_id: circle.legacyId })).toContain(joinReply);
  expect(await client.request('join_circle', { circle_id: `${circle.legacyId}` })).toContain(joinReply);
});

test.for([
  [true, true],
  [false, false],
  ['False', false],
  ['True', true],
  [0, false],
] as const)('writing %j is sent to the room as %j, the writer included', async ([sent, isWriting]) => {
  await using otherClient = await loginInRoom(bob);
  await using writer = await loginInRoom(ann);
  const frame = `42["writing",{"conversation_id":${conversation.legacyId},"device":false,"user":"ann@example.com","is_writing":${isWriting}}]`;
  const payload = { conversation_id: `${conversation.legacyId}`, is_writing: sent };
  expect(await writer.request('writing', payload)).toEqual([success('Writing sent'), frame]);
  expect(await otherClient.next()).toBe(frame);
});

test('credentials are a fresh username and password', async () => {
  await using client = await login(ann);
  const [reply = ''] = await client.request('webrtc_credentials');
  const [channel, payload] = JSON.parse(reply.slice(2)) as [string, Record<string, string>];
  expect(channel).toBe('webrtc_config');
  expect(Object.keys(payload)).toEqual(['username', 'password']);
  expect(payload['username']).toMatch(new RegExp(`^\\d+(\\.\\d+)?:${ann.legacyId}False$`));
  expect(payload['password']).toMatch(/^[A-Za-z0-9+/]{27}=$/);
  await using otherClient = await login(device);
  expect((await otherClient.request('webrtc_credentials', { surplus: 1 }))[0]).toContain(
    `:${device.legacyId}True"`,
  );
});

test('the STUN and TURN servers need no login', async () => {
  await using client = await openPacketSocket(app.url);
  const replies = ['42["webrtc_config",[{"domain":"webrtc.neo.ovh","ip":"","port":3478}]]'];
  expect(await client.request('webrtc_stun_info')).toEqual(replies);
  expect(await client.request('webrtc_turn_info', {})).toEqual(replies);
});

test('a forwarded payload reaches its target unchanged, on both channels', async () => {
  await using target = await login(bob);
  await using caller = await login(ann);
  const payload = {
    extra: [1, null, 'é'],
    user_id: `${bob.legacyId}`,
    message: { type: 'sdp', data: { sdp: 'v=0' } },
  };
  expect(await caller.request('webrtc_forward', payload)).toEqual([success('Message forwarded')]);
  const body = JSON.stringify({ sender_id: ann.legacyId, is_device: false, content: payload }).replace(
    'é',
    '\\u00e9',
  );
  expect(await target.next()).toBe(`42["webrtc_forward",${body}]`);
  expect(await target.next()).toBe(`42["webrtc_config",${body}]`);
});

test('a client that sends no EIO receives a forward on webrtc_forward only', async () => {
  await using target = await login(bob, 'none');
  await using caller = await login(device);
  await caller.request('webrtc_forward', { email: 'bob@example.com', message: 'CALLING' });
  expect(await target.next()).toBe(
    `42["webrtc_forward",{"sender_id":${device.legacyId},"is_device":true,"content":{"email":"bob@example.com","message":"CALLING"}}]`,
  );
  expect(await target.request('webrtc_join_room', {})).toEqual([]);
});

test('a forward to the sender’s own account is delivered before its reply', async () => {
  await using caller = await login(ann, 'none');
  const replies = await caller.request('webrtc_forward', { email: ann.login, message: 'PING' });
  expect(replies.map((packet) => packet.slice(0, 20))).toEqual([
    '42["webrtc_forward",',
    '42["success","Messag',
  ]);
});

test('the e-mail takes precedence, then the user id, then the device id', async () => {
  await using caller = await login(ann);
  await using target = await login(device, 'none');
  expect(
    await caller.request('webrtc_forward', { email: 'nobody@example.com', device_id: device.legacyId }),
  ).toEqual([error('Utilisateur introuvable')]);
  expect(await caller.request('webrtc_forward', { user_id: 99_999, device_id: device.legacyId })).toEqual([
    error('Utilisateur introuvable'),
  ]);
  expect(await caller.request('webrtc_forward', { device_id: device.legacyId })).toEqual([
    success('Message forwarded'),
  ]);
  expect(await target.next('42["webrtc_forward"')).toContain(`"device_id":${device.legacyId}`);
});

test('a target that is not connected is unreachable', async () => {
  const zoe = await app.createAccount();
  const zoeCircle = await createCircle(zoe, await app.createAccount());
  const offlineDevice = await createDevice(app, zoe, zoeCircle);
  await using caller = await login(zoe);
  expect(await caller.request('webrtc_forward', { device_id: offlineDevice.legacyId })).toEqual([
    error('Destinataire non connecte aux websockets'),
  ]);
});

test.for([
  'webrtc_join_room',
  'webrtc_leave_room',
  'webrtc_room_forward',
  'unknown',
  'toString',
  '__proto__',
  'error',
  '',
])('the channel %j gets no reply but the acknowledgement', async (channel) => {
  await using client = await openPacketSocket(app.url);
  expect(await client.request(channel, { a: 1 })).toEqual([]);
  expect(await client.request(channel)).toEqual([]);
});

test.for(['42[7,"x"]', '42', '42["authenticate"]', '42["message",{"_placeholder":true}]'])(
  'the malformed packet %s is ignored',
  async (packet) => {
    await using client = await openPacketSocket(app.url);
    client.send(packet);
    expect((await client.request('webrtc_stun_info')).at(-1)).toContain('webrtc_config');
  },
);

test('a deleted conversation is unknown', async () => {
  const zoe = await app.createAccount();
  const yan = await app.createAccount();
  const zoeCircle = await createCircle(zoe, yan);
  const deletedConversation = await createConversation(zoe, zoeCircle, yan);
  await using client = await login(zoe);
  await using otherClient = await login(eve);
  const payload = { conversation_id: deletedConversation.legacyId, text_message: 'x' };
  const errors = [error('Vous ne faites pas partie de cette conversation')];
  expect(await otherClient.request('message', payload)).toEqual(errors);
  await yan.graphql.run('mutation ($id: ID!) { leaveConversation(conversationId: $id) { id } }', {
    id: deletedConversation.id,
  });
  expect(await client.request('message', payload)).toEqual([error('Conversation introuvable')]);
  expect(await otherClient.request('message', payload)).toEqual([error('Conversation introuvable')]);
});

test('an unknown id does not close the connection', async () => {
  await using client = await login(bob);
  for (const channel of CHANNELS)
    await client.request(channel.name, { conversation_id: {}, circle_id: [], user_id: {} });
  expect(await client.request('join_conversation', conversationRef)).toHaveLength(1);
});
