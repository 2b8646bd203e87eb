import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ConnectionLimits } from '../../src/bridge/connection-limits.ts';
import { encodePayload, openPollingSession } from '../harness/engine-io.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import { startFakeBridge } from './fake-bridge.ts';
import type { FakeBridge } from './fake-bridge.ts';

// Events sent before `authenticate` are queued until then. Where the queue must not time out, its timeout is an hour.

const HOUR_MS = 3_600_000;
const conversationRef = { conversation_id: 12 };
const authenticated = '42["success","User authenticated"]';
const roomJoined = '42["success","Vous avez rejoins la conversation : conversation_12"]';
const messageReceived = '42["success",{"received":true,"message_id":1}]';
const notAuthenticated = '42["error","Socket user introuvable"]';
const stunServers = '42["webrtc_config",[]]';

let fake: FakeBridge;

async function startServer(limits: Partial<ConnectionLimits> = {}): Promise<string> {
  fake = await startFakeBridge({ preAuthTimeoutMs: HOUR_MS, ...limits });
  fake.operations['LegacyStunServers'] = () => ({ data: { webrtc: { stunServers: [] } } });
  return fake.url;
}

beforeEach(() => void (fake = undefined as unknown as FakeBridge));
afterEach(() => fake[Symbol.asyncDispose]());

test.for([3, 4] as const)(
  'protocol %d: events before authenticate run after it, in order',
  async (protocol) => {
    await using client = await openPacketSocket(await startServer(), protocol);
    client.emit('join_conversation', conversationRef);
    client.send('421["message",{"conversation_id":12}]');
    client.send('422["nothing"]');
    client.send('423["authenticate",{"token":"user:7"}]');
    client.send('424["message",{"conversation_id":12}]');
    for (const packet of [
      authenticated,
      '433[]',
      roomJoined,
      messageReceived,
      '431[]',
      '432[]',
      messageReceived,
      '434[]',
    ])
      expect(await client.next()).toBe(packet);
  },
);

test('an event that needs no login runs immediately, but not before queued events', async () => {
  await using client = await openPacketSocket(await startServer());
  client.emit('webrtc_stun_info');
  expect(await client.next()).toBe(stunServers);
  client.emit('message', conversationRef);
  client.emit('webrtc_stun_info');
  client.emit('authenticate', { token: 'user:7' });
  expect([await client.next(), await client.next(), await client.next()]).toEqual([
    authenticated,
    messageReceived,
    stunServers,
  ]);
});

test.for([
  [{ token: 'wrong' }, '42["error","User not found"]'],
  [{}, '42["error","Json web token introuvable"]'],
] as const)('a failed authenticate rejects queued events: %j', async ([payload, errorPacket]) => {
  await using client = await openPacketSocket(await startServer());
  client.emit('message', conversationRef);
  client.emit('authenticate', payload);
  expect([await client.next(), await client.next()]).toEqual([errorPacket, notAuthenticated]);
  expect(await client.request('join_conversation', conversationRef)).toEqual([notAuthenticated]);
  expect(await client.request('authenticate', { token: 'user:7' })).toEqual([authenticated]);
});

test('a client that never authenticates is rejected after the timeout, and immediately from then on', async () => {
  await using client = await openPacketSocket(await startServer({ preAuthTimeoutMs: 50 }));
  expect(await client.request('message', conversationRef)).toEqual([notAuthenticated]);
  expect(await client.request('message', conversationRef)).toEqual([notAuthenticated]);
});

test('a second authenticate runs after earlier events', async () => {
  await using client = await openPacketSocket(await startServer());
  const sessions: unknown[] = [];
  fake.operations['LegacyMessage'] = (_, session) => {
    sessions.push(session?.actor.id);
    return { data: { sendMessage: { message: { legacyId: 1 }, media: [] } } };
  };
  client.emit('message', conversationRef);
  client.emit('authenticate', { token: 'user:7' });
  client.emit('message', conversationRef);
  client.emit('authenticate', { token: 'user:8' });
  await client.request('message', conversationRef);
  expect(sessions).toEqual([7, 7, 8]);
});

test.for([
  ['41', 'leaves its namespace'],
  ['42["disconnect"]', 'sends a disconnect event'],
] as const)('queued events run when the client %s', async ([packet]) => {
  const execution = Promise.withResolvers<unknown>();
  await using client = await openPacketSocket(await startServer());
  fake.operations['LegacyMessage'] = (_, session) => {
    execution.resolve(session?.actor);
    return { data: { sendMessage: { message: { legacyId: 1 }, media: [] } } };
  };
  client.emit('message', conversationRef);
  client.emit('authenticate', { token: 'user:7' });
  client.emit('message', conversationRef);
  client.send(packet);
  expect(await execution.promise).toEqual({ kind: 'user', id: 7 });
});

test('queued events of a client that never authenticates are rejected before it is disconnected', async () => {
  await using client = await openPacketSocket(await startServer());
  client.emit('message', conversationRef);
  client.emit('disconnect');
  expect([await client.next(), await client.next()]).toEqual([notAuthenticated, '41']);
});

test.for([
  ['events', { preAuthEvents: 10 }, 11, 'x'],
  ['bytes', { preAuthBytes: 1_000 }, 2, 'x'.repeat(600)],
] as const)('more %s than the queue allows are rejected immediately', async ([, limits, count, text]) => {
  await using client = await openPacketSocket(await startServer(limits));
  for (let n = 0; n < count; n += 1) client.emit('message', { ...conversationRef, text_message: text });
  for (let n = 0; n < count; n += 1) expect(await client.next()).toBe(notAuthenticated);
  expect(await client.request('authenticate', { token: 'user:7' })).toEqual([authenticated]);
});

test('a token in the handshake counts as an authenticate sent first', async () => {
  const url = await startServer();
  await using client = await openPacketSocket(url, 4, { auth: { token: 'user:7' } });
  client.emit('join_conversation', conversationRef);
  expect([await client.next(), await client.next()]).toEqual([authenticated, roomJoined]);
});

test('a bad token in the handshake is rejected, and the app may still authenticate', async () => {
  await using client = await openPacketSocket(await startServer(), 4, { auth: { token: 'wrong' } });
  client.emit('message', conversationRef);
  expect(await client.next()).toBe('42["error","User not found"]');
  client.emit('authenticate', { token: 'user:7' });
  expect([await client.next(), await client.next()]).toEqual([authenticated, messageReceived]);
});

test.for([{ auth: { token: null } }, { auth: { token: '' } }, { auth: {} }, {}])(
  'a handshake without a token is anonymous: %j',
  async (handshake) => {
    await using client = await openPacketSocket(await startServer(), 4, handshake);
    expect(await client.request('webrtc_stun_info')).toEqual([stunServers]);
  },
);

test('a reconnecting client of protocol 4 that sends one event at a time is acknowledged before its authenticate', async () => {
  await using client = await openPacketSocket(await startServer(), 4);
  client.send('427["message",{"conversation_id":12}]');
  expect(await client.next()).toBe('437[]');
  client.send('428["message",{"conversation_id":12}]');
  expect(await client.next()).toBe('438[]');
  client.send('429["authenticate",{"token":"user:7"}]');
  for (const packet of [authenticated, '439[]', messageReceived, messageReceived])
    expect(await client.next()).toBe(packet);
});

test('an event that was acknowledged while queued stays queued until a login', async () => {
  await using client = await openPacketSocket(await startServer({ preAuthTimeoutMs: 300 }), 4);
  client.send('427["message",{"conversation_id":12}]');
  expect(await client.next()).toBe('437[]');
  // Waits until the queue of another client of this server has timed out.
  await using otherClient = await openPacketSocket(fake.url);
  expect(await otherClient.request('message', conversationRef)).toEqual([notAuthenticated]);
  expect(await otherClient.request('message', conversationRef)).toEqual([notAuthenticated]);
  expect(client.pending()).toEqual([]);
  client.emit('authenticate', { token: 'user:7' });
  expect([await client.next(), await client.next()]).toEqual([authenticated, messageReceived]);
});

test('each event in one polling request has its own acknowledgement', async () => {
  const session = await openPollingSession(await startServer({ preAuthTimeoutMs: 500 }), 'EIO=4');
  await session.post('40');
  await session.poll();
  await session.post(encodePayload(['425["webrtc_stun_info"]', '420["message",{"conversation_id":12}]']));
  let packets: string[] = [];
  while (!packets.includes('430[]')) packets = [...packets, ...(await session.poll()).text.split('\u001e')];
  expect(packets).toEqual([stunServers, '435[]', notAuthenticated, '430[]']);
});

test.for([
  [3, 7],
  [4, 0],
] as const)(
  'protocol %d: the queued event with acknowledgement %d is rejected before it is acknowledged',
  async ([protocol, id]) => {
    await using client = await openPacketSocket(await startServer({ preAuthTimeoutMs: 500 }), protocol);
    client.send(`42${id}["message",{"conversation_id":12}]`);
    expect([await client.next(), await client.next()]).toEqual([notAuthenticated, `43${id}[]`]);
  },
);
