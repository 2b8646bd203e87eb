import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadClient } from '../clients/load.ts';
import { connectRawConnection } from '../harness/raw-connection.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { waitQuietPeriod, stagger, waitUntil } from '../harness/waiting.ts';
import { startFakeBridge } from './fake-bridge.ts';
import type { FakeBridge } from './fake-bridge.ts';
import { createKick, createMessageSent, sampleEvent } from './sample-events.ts';

// The lifecycle of a connection, with fake dependencies: each test decides when an operation completes.

let fake: FakeBridge;

beforeEach(async () => {
  fake = await startFakeBridge();
});

afterEach(async () => {
  await fake[Symbol.asyncDispose]();
});

const ann = sampleEvent('message.sent').author;
const textOf = (packet: string) => /"content":"([^"]*)"/.exec(packet)?.[1];
const conversationRef = { conversation_id: 12 };
const joinedReply = '42["success","Vous avez rejoins la conversation : conversation_12"]';

async function connectAuthenticated(token: string): Promise<PacketSocket> {
  const client = await openPacketSocket(fake.url);
  await client.request('authenticate', { token });
  return client;
}

async function connectToRoom(token: string): Promise<PacketSocket> {
  const client = await connectAuthenticated(token);
  await client.request('join_conversation', conversationRef);
  return client;
}

const publishSignal = (legacyLease: number, content: unknown) =>
  fake.publishEphemeral({ type: 'signal', topic: 'user:7', sender: ann, content, legacyLease });

/** Makes an operation wait for the result that the test completes it with. */
function deferOperation(name: string) {
  const start = Promise.withResolvers<void>();
  const result = Promise.withResolvers<{ data: unknown } | { code: 'NOT_FOUND' }>();
  fake.operations[name] = () => {
    start.resolve();
    return result.promise;
  };
  return { started: start.promise, complete: result.resolve };
}

test('a room frame is held until the reply to the event in flight; other clients are not delayed', async () => {
  await using busyClient = await connectToRoom('user:7');
  await using idleClient = await connectToRoom('user:8');
  const messageOperation = deferOperation('LegacyMessage');
  busyClient.emit('message', conversationRef);
  await messageOperation.started;
  fake.publish(createMessageSent('first'));
  fake.publish(createMessageSent('second'));
  expect(textOf(await idleClient.next())).toBe('first');
  expect(textOf(await idleClient.next())).toBe('second');
  expect(busyClient.pending()).toEqual([]);
  messageOperation.complete({ data: { sendMessage: { message: { legacyId: 40 }, media: [] } } });
  expect(await busyClient.next()).toBe('42["success",{"received":true,"message_id":40}]');
  expect(textOf(await busyClient.next())).toBe('first');
  expect(textOf(await busyClient.next())).toBe('second');
});

test('held frames and later frames stay in order', async () => {
  await using client = await connectToRoom('user:7');
  const messageOperation = deferOperation('LegacyMessage');
  client.emit('message', conversationRef);
  await messageOperation.started;
  for (let n = 0; n < 50; n += 1) fake.publish(createMessageSent(`${n}`));
  messageOperation.complete({ code: 'NOT_FOUND' });
  await client.next('42["error"');
  for (let n = 50; n < 100; n += 1) fake.publish(createMessageSent(`${n}`));
  const received = [];
  for (let n = 0; n < 100; n += 1) received.push(textOf(await client.next()));
  expect(received).toEqual(Array.from({ length: 100 }, (_, n) => `${n}`));
});

test('an event between the permission check and the join is delivered after the reply', async () => {
  await using client = await connectAuthenticated('user:7');
  fake.publish(createMessageSent('before'));
  const cursor = fake.readCursor('conversation:12');
  const joinOperation = deferOperation('LegacyConversation');
  client.emit('join_conversation', conversationRef);
  await joinOperation.started;
  fake.publish(createMessageSent('meanwhile'));
  joinOperation.complete({ data: { conversation: { eventCursor: cursor } } });
  expect(await client.next()).toBe(joinedReply);
  expect(textOf(await client.next())).toBe('meanwhile');
});

test('an event before the permission check is not delivered', async () => {
  await using client = await connectAuthenticated('user:7');
  const joinOperation = deferOperation('LegacyConversation');
  client.emit('join_conversation', conversationRef);
  await joinOperation.started;
  fake.publish(createMessageSent('known'));
  joinOperation.complete({ data: { conversation: { eventCursor: fake.readCursor('conversation:12') } } });
  expect(await client.next()).toBe(joinedReply);
  fake.publish(createMessageSent('new'));
  expect(textOf(await client.next())).toBe('new');
});

test('a kick during the permission check rejects the join', async () => {
  await using client = await connectAuthenticated('user:7');
  const cursor = fake.readCursor('conversation:12');
  const joinOperation = deferOperation('LegacyConversation');
  client.emit('join_conversation', conversationRef);
  await joinOperation.started;
  fake.publish(createKick(7));
  fake.publish(createMessageSent('secret'));
  joinOperation.complete({ data: { conversation: { eventCursor: cursor } } });
  expect(await client.next()).toBe('42["error","Vous ne faite pas partie de cette conversation"]');
  fake.publish(createMessageSent('secret'));
  expect(await client.request('unknown')).toEqual([]);
  expect(fake.countFollowers('conversation:12')).toBe(0);
});

test('a kick before the permission check, followed by a new invitation, does not reject the join', async () => {
  await using client = await connectAuthenticated('user:7');
  const joinOperation = deferOperation('LegacyConversation');
  client.emit('join_conversation', conversationRef);
  await joinOperation.started;
  fake.publish(createKick(7));
  joinOperation.complete({ data: { conversation: { eventCursor: fake.readCursor('conversation:12') } } });
  expect(await client.next()).toBe(joinedReply);
  fake.publish(createMessageSent('back'));
  expect(textOf(await client.next())).toBe('back');
});

test('a client whose join is rejected receives no frames of the room', async () => {
  await using client = await connectAuthenticated('user:9');
  const joinOperation = deferOperation('LegacyConversation');
  client.emit('join_conversation', conversationRef);
  await joinOperation.started;
  fake.publish(createMessageSent('secret'));
  fake.publishEphemeral({ type: 'typing', topic: 'conversation:12', actor: ann, isTyping: true });
  joinOperation.complete({ code: 'NOT_FOUND' });
  expect(await client.next()).toBe('42["error","Vous ne faite pas partie de cette conversation"]');
  expect(await client.request('unknown')).toEqual([]);
});

test('a kicked client receives the kick and nothing after it', async () => {
  await using kickedClient = await connectToRoom('user:7');
  await using otherClient = await connectToRoom('user:8');
  fake.publish(createMessageSent('before'));
  fake.publish(createKick(7));
  fake.publish(createMessageSent('after'));
  expect(textOf(await kickedClient.next())).toBe('before');
  expect(await kickedClient.next()).toContain('["conversation",{"event":"kick"');
  expect(await kickedClient.request('unknown')).toEqual([]);
  await otherClient.next();
  await otherClient.next('42["conversation"');
  expect(textOf(await otherClient.next())).toBe('after');
});

test('a kick while an event is in flight is delivered after its reply', async () => {
  await using kickedClient = await connectToRoom('user:7');
  const writingOperation = deferOperation('LegacyWriting');
  kickedClient.emit('writing', { ...conversationRef, is_writing: true });
  await writingOperation.started;
  fake.publish(createKick(7));
  fake.publish(createMessageSent('secret'));
  writingOperation.complete({ code: 'NOT_FOUND' });
  expect(await kickedClient.next()).toContain('error');
  expect(await kickedClient.next()).toContain('"event":"kick"');
  expect(await kickedClient.request('unknown')).toEqual([]);
});

test('a room is followed once, and only while it has members', async () => {
  await using firstClient = await connectToRoom('user:7');
  await using secondClient = await connectToRoom('user:8');
  await secondClient.request('join_conversation', conversationRef);
  expect(fake.countFollowers('conversation:12')).toBe(1);
  await firstClient.request('leave_conversation', conversationRef);
  expect(fake.countFollowers('conversation:12')).toBe(1);
  secondClient.socket.close();
  await waitUntil(() => fake.countFollowers('conversation:12') === 0);
});

test('a signal goes to the connection whose lease it names', async () => {
  await using olderClient = await connectAuthenticated('user:7');
  await using newerClient = await connectAuthenticated('user:7');
  publishSignal(2, 'for the newer');
  publishSignal(1, 'for the older');
  expect(await newerClient.next('42["webrtc_forward"')).toContain('for the newer');
  expect(await olderClient.next('42["webrtc_forward"')).toContain('for the older');
});

test('a signal before the reply to authenticate is sent after it', async () => {
  await using client = await openPacketSocket(fake.url);
  client.emit('authenticate', { token: 'user:7' });
  await waitUntil(() => fake.leases.size === 1);
  publishSignal(1, 'early');
  expect(await client.next()).toBe('42["success","User authenticated"]');
  expect(await client.next()).toContain('early');
});

test.for([3, 4] as const)(
  'with NODE_NAME, the session id of protocol %i begins with it',
  async (protocol) => {
    await using named = await startFakeBridge(
      {},
      { LEGACY_FORWARD_CHANNELS: undefined, NODE_NAME: 'node-1' },
    );
    const response = await fetch(`${named.url}/socket.io/?EIO=${protocol}&transport=polling`);
    expect(await response.text()).toMatch(/"sid":"node-1\.[\w-]{20,}"/);
    await using client = await openPacketSocket(named.url, protocol);
    expect(await client.request('authenticate', { token: 'user:7' })).toEqual([
      expect.stringMatching(/^42\["success"/),
    ]);
  },
);

test('LEGACY_FORWARD_CHANNELS determines the channels of signals, for every client', async () => {
  await using customFake = await startFakeBridge(
    {},
    { LEGACY_FORWARD_CHANNELS: ['webrtc_config', 'webrtc_forward'] },
  );
  await using client = await openPacketSocket(customFake.url, 'none');
  await client.request('authenticate', { token: 'user:7' });
  customFake.publishEphemeral({ type: 'signal', topic: 'user:7', sender: ann, content: {}, legacyLease: 1 });
  expect(await client.next()).toContain('42["webrtc_config"');
  expect(await client.next()).toContain('42["webrtc_forward"');
});

test('frames for an account are sent to its newest connection on any node', async () => {
  await using olderClient = await connectAuthenticated('user:8');
  await using newerClient = await connectAuthenticated('user:8');
  fake.publish(sampleEvent('circle.invited'));
  expect(await newerClient.next()).toBe(
    '42["circle_invite",{"event":"invite","circle_id":3,"circle_invite_id":5}]',
  );
  fake.newestLease = 99;
  fake.publish(sampleEvent('conversation.invited'));
  fake.newestLease = undefined;
  newerClient.socket.close();
  await waitUntil(() => fake.leases.size === 1);
  fake.publish(sampleEvent('conversation.promoted'));
  expect(await olderClient.next()).toBe('42["conversation",{"event":"promoted","conversation_id":12}]');
  expect(olderClient.pending()).toEqual([]);
});

test('frames for an account are delivered after a database outage, in order', async () => {
  await using client = await connectAuthenticated('user:8');
  fake.failingLeaseReads = 2;
  fake.publish(sampleEvent('circle.invited'));
  fake.publish(sampleEvent('conversation.promoted'));
  expect(await client.next()).toContain('42["circle_invite"');
  expect(await client.next()).toContain('42["conversation",{"event":"promoted"');
});

test('a second login with the same account keeps the rooms and becomes the newest connection', async () => {
  await using client = await connectToRoom('user:7');
  expect(await client.request('authenticate', { token: 'user:7#second' })).toEqual([
    '42["success","User authenticated"]',
  ]);
  expect([...fake.leases.keys()]).toEqual([2]);
  fake.endSession('user:7', 'LOGGED_OUT');
  fake.publish(createMessageSent('still here'));
  expect(textOf(await client.next())).toBe('still here');
});

test('a login as another account leaves the rooms of the former account', async () => {
  await using client = await connectToRoom('user:7');
  expect(await client.request('authenticate', { token: 'device:4' })).toEqual([
    '42["success","User authenticated"]',
  ]);
  expect([...fake.leases.values()]).toEqual([{ kind: 'device', id: 4 }]);
  expect(fake.countFollowers('conversation:12')).toBe(0);
  expect(fake.countFollowers('user:7')).toBe(0);
});

test('a failed second login changes nothing', async () => {
  await using client = await connectToRoom('user:7');
  expect(await client.request('authenticate', { token: 'nonsense' })).toEqual([
    '42["error","User not found"]',
  ]);
  expect(await client.request('authenticate', {})).toEqual(['42["error","Json web token introuvable"]']);
  fake.publish(createMessageSent('still here'));
  expect(textOf(await client.next())).toBe('still here');
  expect(fake.leases.size).toBe(1);
});

test.for(['LOGGED_OUT', 'TOKEN_EXPIRED'] as const)(
  'a session that ends with %s sends one error and drops queued events',
  async (reason) => {
    await using client = await connectToRoom('user:7');
    const messageOperation = deferOperation('LegacyMessage');
    let typingCount = 0;
    fake.operations['LegacyWriting'] = () => {
      typingCount += 1;
      return { data: {} };
    };
    client.emit('message', conversationRef);
    client.emit('writing', { ...conversationRef, is_writing: true });
    await messageOperation.started;
    fake.publish(createMessageSent('held'));
    fake.endSession('user:7', reason);
    expect(await client.next()).toBe('42["error","User not found"]');
    expect(await client.next()).toBe('41');
    await client.waitForClose();
    messageOperation.complete({ code: 'NOT_FOUND' });
    await waitUntil(() => fake.leases.size === 0);
    expect(client.pending()).toEqual([]);
    expect(typingCount).toBe(0);
    expect(fake.endReasons).toEqual([reason]);
  },
);

test('a session that ends with SLOW closes the connection without a packet, so that its client reconnects', async () => {
  await using client = await connectToRoom('user:7');
  fake.endSession('user:7', 'SLOW');
  await client.waitForClose();
  expect(client.pending()).toEqual([]);
  expect(fake.endReasons).toEqual(['SLOW']);
});

test('a deleted account receives the held frames of its rooms, and none of a room that it was joining', async () => {
  await using client = await connectToRoom('user:7');
  const joinOperation = deferOperation('LegacyConversation');
  client.emit('join_conversation', { conversation_id: 13 });
  await joinOperation.started;
  fake.publish(createMessageSent('held'));
  fake.publish(createMessageSent('of the other room', 13));
  fake.endSession('user:7', 'ACCOUNT_DELETED');
  expect(textOf(await client.next())).toBe('held');
  expect(await client.next()).toBe('42["error","User not found"]');
  expect(await client.next()).toBe('41');
  joinOperation.complete({ code: 'NOT_FOUND' });
  await client.waitForClose();
  expect(client.pending()).toEqual([]);
});

test('a client that is kicked while it joins again receives the kick', async () => {
  await using client = await connectToRoom('user:7');
  const joinOperation = deferOperation('LegacyConversation');
  client.emit('join_conversation', conversationRef);
  await joinOperation.started;
  fake.publish(createKick(7));
  fake.publish(createMessageSent('later'));
  joinOperation.complete({ code: 'NOT_FOUND' });
  await client.next('42["error"');
  expect(await client.next()).toContain('"event":"kick"');
  expect(await client.request('bogus', conversationRef)).toEqual([]);
});

test('frames held before a kick are delivered to a client that is readmitted while it joins', async () => {
  await using client = await connectToRoom('user:7');
  const joinOperation = deferOperation('LegacyConversation');
  client.emit('join_conversation', conversationRef);
  await joinOperation.started;
  fake.publish(createMessageSent('before the kick'));
  fake.publish(createKick(7));
  fake.publish(createMessageSent('secret'));
  joinOperation.complete({ data: { conversation: { eventCursor: fake.readCursor('conversation:12') } } });
  expect(await client.next()).toBe(joinedReply);
  expect(textOf(await client.next())).toBe('before the kick');
  expect(await client.next()).toContain('"event":"kick"');
  fake.publish(createMessageSent('new'));
  expect(textOf(await client.next())).toBe('new');
});

test.for(['frame', 'packet', 'silence'])(
  'events sent before a close by %s still run, in order, before the cleanup',
  async (closeBy) => {
    const executed: string[] = [];
    const messageOperation = deferOperation('LegacyMessage');
    fake.operations['LegacyForward'] = ({ content }) => {
      executed.push(String((content as { message: string }).message));
      return { data: {} };
    };
    await using client = await openPacketSocket(fake.url);
    client.emit('authenticate', { token: 'user:7' });
    client.emit('message', conversationRef);
    client.emit('webrtc_forward', { user_id: 8, message: 'QUITTING' });
    client.emit('webrtc_forward', { user_id: 8, message: 'LAST' });
    if (closeBy === 'packet') client.send('41');
    if (closeBy === 'silence') client.socket.terminate();
    else client.socket.close();
    await messageOperation.started;
    await waitUntil(() => fake.bridge.connections()[Symbol.iterator]().next().done === false);
    expect(fake.leases.size).toBe(1);
    messageOperation.complete({ code: 'NOT_FOUND' });
    await waitUntil(() => fake.leases.size === 0);
    expect(executed).toEqual(['QUITTING', 'LAST']);
    expect([...fake.bridge.connections()]).toEqual([]);
  },
);

test('a session that ends while events of a closed connection run releases everything', async () => {
  await using client = await openPacketSocket(fake.url);
  const messageOperation = deferOperation('LegacyMessage');
  client.emit('authenticate', { token: 'user:7' });
  client.emit('message', conversationRef);
  await messageOperation.started;
  client.socket.close();
  await client.waitForClose();
  await waitQuietPeriod(20);
  fake.endSession('user:7', 'LOGGED_OUT');
  messageOperation.complete({ code: 'NOT_FOUND' });
  await waitUntil(() => [...fake.bridge.connections()].length === 0);
  expect(fake.leases.size).toBe(0);
});

test('events in the same polling request as the close still run', async () => {
  const forwardedContent = Promise.withResolvers<unknown>();
  fake.operations['LegacyForward'] = ({ content }) => {
    forwardedContent.resolve(content);
    return { data: {} };
  };
  const url = `${fake.url}/socket.io/?EIO=3&transport=polling&b64=1`;
  const sid = /"sid":"([^"]+)"/.exec(await (await fetch(url)).text())?.[1];
  const packets = ['42["authenticate",{"token":"user:7"}]', '42["webrtc_forward",{"user_id":8}]', '1'];
  await fetch(`${url}&sid=${sid}`, {
    method: 'POST',
    body: packets.map((packet) => `${packet.length}:${packet}`).join(''),
    headers: { 'content-type': 'text/plain' },
  });
  expect(await forwardedContent.promise).toEqual({ user_id: 8 });
  await waitUntil(() => fake.leases.size === 0);
});

test('a socket that disconnects and reconnects on the same transport leaves no state behind', async () => {
  await using client = await openPacketSocket(fake.url, 4);
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => void warnings.push(warning);
  process.on('warning', onWarning);
  for (let round = 0; round < 20; round += 1) {
    const authenticated = '42["success","User authenticated"]';
    expect(await client.request('authenticate', { token: 'user:7' })).toEqual([authenticated]);
    client.send('41');
    await waitUntil(() => fake.leases.size === 0);
    client.send('40');
    await client.next('40');
  }
  process.off('warning', onWarning);
  expect(warnings).toEqual([]);
});

test('a disconnect sent as an event closes the socket after earlier events', async () => {
  await using client = await connectToRoom('user:7');
  client.emit('writing', { ...conversationRef, is_writing: true });
  client.send('421["disconnect"]');
  client.emit('leave_conversation', conversationRef);
  expect(await client.next()).toBe('42["success","Writing sent"]');
  expect(await client.next()).toBe('431[]');
  expect(await client.next()).toBe('41');
  await waitUntil(() => fake.leases.size === 0);
  expect(client.pending()).toEqual([]);
});

test.for(['1.3.6', '1.7.4', '2.5.0', '4.8.4'] as const)(
  'events that client %s sends in one tick on connect are replied to in order',
  async (version) => {
    for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']] as const) {
      const socket = loadClient(version)(fake.url, { transports, forceNew: true, reconnection: false });
      const received: unknown[] = [];
      const completion = Promise.withResolvers<void>();
      socket.on('success', (payload) => {
        received.push(payload);
        if (received.length === 8) completion.resolve();
      });
      socket.on('error', completion.reject);
      let messageId = 0;
      fake.operations['LegacyMessage'] = async () => {
        messageId += 1;
        await stagger(5 - messageId);
        return { data: { sendMessage: { message: { legacyId: messageId }, media: [] } } };
      };
      socket.on('connect', () => {
        socket.emit('authenticate', { token: 'user:7' });
        socket.emit('join_circle', { circle_id: 3 });
        socket.emit('join_conversation', conversationRef);
        for (let n = 0; n < 5; n += 1) socket.emit('message', conversationRef);
      });
      await completion.promise;
      expect(received).toEqual([
        'User authenticated',
        'Vous avez rejoins le cercle : circle_3',
        'Vous avez rejoins la conversation : conversation_12',
        ...[1, 2, 3, 4, 5].map((message_id) => ({ received: true, message_id })),
      ]);
      socket.close();
    }
  },
);

test('an operation that throws gets an error reply and affects no other client', async () => {
  await using client = await connectToRoom('user:7');
  fake.operations['LegacyMessage'] = () => Promise.reject(new Error('broken'));
  expect(await client.request('message', conversationRef)).toEqual(['42["error","Erreur interne"]']);
  fake.operations['LegacyMessage'] = () => ({ data: null });
  expect(await client.request('message', conversationRef)).toEqual(['42["error","Erreur interne"]']);
  fake.operations['LegacyMessage'] = () => ({ code: 'UNAVAILABLE' });
  expect(await client.request('message', conversationRef)).toEqual(['42["error","Erreur interne"]']);
  fake.operations['LegacyMessage'] = () => ({ code: 'RATE_LIMITED' });
  expect(await client.request('message', conversationRef)).toEqual(['42["error","Trop de requetes"]']);
  delete fake.operations['LegacyMessage'];
  expect(await client.request('message', conversationRef)).toEqual([
    '42["success",{"received":true,"message_id":1}]',
  ]);
});

test('malformed packets close at most their own connection, in both protocols', async () => {
  await using otherClient = await connectToRoom('user:8');
  const malformedPackets = [
    '',
    '4',
    '49',
    '42[]',
    '42{}',
    '42[null]',
    '42[{}]',
    '44',
    '45',
    '459999999-["x"]',
    '451-["x",{"_placeholder":true,"num":9}]',
  ];
  const unexpectedPackets = [
    'hello',
    '9',
    '1',
    '2',
    '3',
    '5',
    '6',
    'b4',
    '40',
    '40/other',
    '43',
    '430[]',
    '43999[1]',
    '42999999999999999999["x"]',
  ];
  const reservedNames = [
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'error',
    'connect_error',
    'disconnecting',
  ];
  const nestedPacket = `42["message",${'['.repeat(5_000)}${']'.repeat(5_000)}]`;
  const eventPackets = reservedNames.flatMap((name) => [
    `42["${name}"]`,
    `427["${name}",{"a":1}]`,
    `42["${name}",null]`,
  ]);
  for (const protocol of [3, 4] as const) {
    for (const packet of [...malformedPackets, ...unexpectedPackets, ...eventPackets, nestedPacket]) {
      await using client = await openPacketSocket(fake.url, protocol);
      client.send(packet);
      client.emit('authenticate', { token: 'user:7' });
      const outcome = await Promise.race([
        client.next('42["success"').catch(() => ''),
        client.waitForClose(),
      ]);
      expect(`${packet.slice(0, 50)} ${outcome}`).not.toBe(`${packet.slice(0, 50)} `);
    }
    const binaryClient = await openPacketSocket(fake.url, protocol);
    binaryClient.socket.send(Buffer.from([4, 1, 2, 3]));
    await binaryClient.waitForClose();
  }
  fake.publish(createMessageSent('all is well'));
  expect(textOf(await otherClient.next())).toBe('all is well');
});

test('a page of another origin is rejected on every transport', async () => {
  const headers = { origin: 'https://evil.example' };
  const pollingResponse = await fetch(`${fake.url}/socket.io/?EIO=3&transport=polling`, { headers });
  expect(pollingResponse.status).toBe(403);
  expect(pollingResponse.headers.get('access-control-allow-origin')).toBeNull();
  const jsonpResponse = await fetch(`${fake.url}/socket.io/?EIO=3&transport=polling&j=0`, { headers });
  expect(jsonpResponse.status).toBe(403);
  const allowedResponse = await fetch(`${fake.url}/socket.io/?EIO=3&transport=polling`, {
    headers: { origin: 'https://good.example' },
  });
  expect(allowedResponse.headers.get('access-control-allow-origin')).toBe('https://good.example');
  expect(allowedResponse.headers.get('access-control-allow-credentials')).toBe('true');
});

test.for([
  [3, 1001],
  [4, 1012],
] as const)(
  'a shutdown replies to the events received before it, and closes protocol %i with %i',
  async ([protocol, code]) => {
    await using client = await openPacketSocket(fake.url, protocol);
    await client.request('authenticate', { token: 'user:7' });
    const messageOperation = deferOperation('LegacyMessage');
    client.emit('message', conversationRef);
    client.emit('message', conversationRef);
    await messageOperation.started;
    const shutdown = fake.bridge.close();
    client.emit('message', conversationRef);
    messageOperation.complete({ data: { sendMessage: { message: { legacyId: 40 }, media: [] } } });
    for (let count = 0; count < 2; count += 1)
      expect(await client.next()).toBe('42["success",{"received":true,"message_id":40}]');
    expect(await client.waitForClose()).toBe(code);
    await shutdown;
    expect(fake.leases.size).toBe(0);
    expect(fake.endReasons).toEqual(['DRAINING']);
    expect(client.pending()).toEqual([]);
    expect((await fetch(`${fake.url}/socket.io/?EIO=3&transport=polling`)).status).toBe(503);
  },
);

test('a shutdown waits for the login of a client whose event was acknowledged before it', async () => {
  await using client = await openPacketSocket(fake.url, 4);
  client.send(`427["message",${JSON.stringify(conversationRef)}]`);
  expect(await client.next()).toBe('437[]');
  const shutdown = fake.bridge.close();
  client.emit('authenticate', { token: 'user:7' });
  expect(await client.next()).toContain('42["success"');
  expect(await client.next()).toContain('42["success",{"received":true');
  expect(await client.waitForClose()).toBe(1012);
  await shutdown;
});

test('a shutdown sends a polling client what is queued for it, then closes its session', async () => {
  await using client = await connectRawConnection(fake.url, 4, 'polling');
  await client.send('42["message",{}]');
  const shutdown = fake.bridge.close();
  expect(await client.next()).toContain('42["error"');
  // A close packet if a poll is in flight.
  expect(await client.next()).toMatch(/^(?:1$|closed 503 )/);
  await shutdown;
});

test('a client that may have missed events of a room is disconnected', async () => {
  await using client = await connectToRoom('user:7');
  fake.reportGap('conversation:12');
  await client.waitForClose();
  expect(fake.endReasons).toEqual(['SLOW']);
});

test('a client that may have missed events of a room it is joining is disconnected', async () => {
  await using client = await connectAuthenticated('user:7');
  const joinOperation = deferOperation('LegacyConversation');
  client.emit('join_conversation', conversationRef);
  await joinOperation.started;
  fake.reportGap('conversation:12');
  await client.waitForClose();
  joinOperation.complete({ code: 'NOT_FOUND' });
  expect(fake.endReasons).toEqual(['SLOW']);
});
