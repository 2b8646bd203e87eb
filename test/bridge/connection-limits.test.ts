import { expect, test } from 'vitest';
import type { ConnectionLimits } from '../../src/bridge/connection-limits.ts';
import { loadClient } from '../clients/load.ts';
import { openPollingSession, encodeTextPayload } from '../harness/engine-io.ts';
import type { PollingSession } from '../harness/engine-io.ts';
import { measureMemory } from '../harness/heap.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { waitUntil } from '../harness/waiting.ts';
import { startFakeBridge } from './fake-bridge.ts';
import type { FakeBridge } from './fake-bridge.ts';
import { createMessageSent, sampleEvent } from './sample-events.ts';

// The limits of one connection, and that other connections are not affected.

const conversationRef = { conversation_id: 12 };

async function connectToRoom(fake: FakeBridge, token: string): Promise<PacketSocket> {
  const client = await openPacketSocket(fake.url);
  await client.request('authenticate', { token });
  await client.request('join_conversation', conversationRef);
  return client;
}

/** Opens a polling session that joins the room and then does not poll. */
async function joinByPolling(fake: FakeBridge): Promise<PollingSession> {
  const session = await openPollingSession(fake.url, 'EIO=3&b64=1');
  const packets = [
    '42["authenticate",{"token":"user:7"}]',
    `42["join_conversation",${JSON.stringify(conversationRef)}]`,
  ];
  await session.post(encodeTextPayload(packets));
  await waitUntil(() => fake.countFollowers('conversation:12') === 1);
  return session;
}

/**
 * Returns a function that tells whether the newest connection is released. Others may be open: a client of another test, whose
 * server had this port before, may try to reconnect.
 */
function watchNewest({ bridge }: FakeBridge): () => boolean {
  const newest = [...bridge.connections()].at(-1) ?? expect.unreachable();
  return () => ![...bridge.connections()].includes(newest);
}

const neverComplete = () => new Promise<never>(() => {});

test('a client that does not read is disconnected and its memory released; others receive everything', async () => {
  await using fake = await startFakeBridge({ sendQueueBytes: 1024 * 1024 });
  await using slowClient = await connectToRoom(fake, 'user:7');
  await using otherClient = await connectToRoom(fake, 'user:8');
  slowClient.socket.pause();
  const text = 'x'.repeat(64 * 1024);
  const memoryBefore = measureMemory();
  let n = 0;
  while (fake.endReasons.length === 0) {
    fake.publish(createMessageSent(`${n}${text}`));
    n += 1;
    expect(await otherClient.next()).toContain(`"content":"${n - 1}x`);
    if (n > 2_000) throw new Error('The client was never disconnected.');
  }
  expect(fake.endReasons).toEqual(['SLOW']);
  await waitUntil(() => fake.leases.size === 1);
  // Compares memory in use: the amount of uncollected garbage depends on V8.
  expect(measureMemory() - memoryBefore).toBeLessThan(20 * 1024 * 1024);
  slowClient.socket.resume();
  await slowClient.waitForClose();
});

test('a polling client that stops polling is disconnected at its limit', async () => {
  await using fake = await startFakeBridge({ sendQueuePackets: 50 });
  const session = await joinByPolling(fake);
  for (let n = 0; n < 60; n += 1) fake.publish(createMessageSent('x'));
  expect(fake.endReasons).toEqual(['SLOW']);
  await waitUntil(() => fake.leases.size === 0);
  expect((await session.poll()).status).toBe(400);
});

test('ephemeral frames are dropped for a congested client', async () => {
  await using fake = await startFakeBridge();
  const session = await joinByPolling(fake);
  const { author } = sampleEvent('message.sent');
  const publishTyping = () =>
    fake.publishEphemeral({ type: 'typing', topic: 'conversation:12', actor: author, isTyping: true });
  publishTyping();
  for (let n = 0; n < 150; n += 1) fake.publish(createMessageSent('x'));
  publishTyping();
  const { text } = await session.poll();
  expect(text.match(/\["message"/g)).toHaveLength(150);
  expect(text.match(/\["writing"/g)).toHaveLength(1);
});

test.for([
  ['events', { queuedEvents: 20 }],
  ['bytes', { queuedBytes: 2_000 }],
] as const)('a client that queues more %s than allowed is disconnected', async ([, limits]) => {
  await using fake = await startFakeBridge(limits);
  await using client = await connectToRoom(fake, 'user:7');
  fake.operations['LegacyWriting'] = neverComplete;
  for (let n = 0; n < 40; n += 1)
    client.emit('writing', { ...conversationRef, is_writing: true, padding: 'x'.repeat(50) });
  expect(await client.waitForClose()).toBe(1006);
  expect(fake.endReasons).toEqual(['SLOW']);
});

test('a client that sends as fast as it is served stays connected', async () => {
  await using fake = await startFakeBridge({ queuedEvents: 20, queuedBytes: 4_000 });
  await using client = await connectToRoom(fake, 'user:7');
  for (let n = 0; n < 200; n += 1)
    expect(await client.request('writing', { ...conversationRef, is_writing: true })).toHaveLength(1);
});

test.for([
  ['1.3.6', 'polling'],
  ['1.3.6', 'websocket'],
  ['2.5.0', 'polling'],
  ['4.8.4', 'websocket'],
] as const)(
  '%s over %s reconnects with thousands of events and receives all replies',
  async ([version, transport]) => {
    await using fake = await startFakeBridge();
    const socket = loadClient(version)(fake.url, { transports: [transport], forceNew: true });
    // The client buffers these until it is connected, and then sends them in one burst.
    socket.emit('authenticate', { token: 'user:7' });
    for (let n = 0; n < 5_000; n += 1) socket.emit('writing', { ...conversationRef, is_writing: true });
    let replyCount = 0;
    const completion = Promise.withResolvers<void>();
    socket.on('success', () => {
      replyCount += 1;
      if (replyCount === 5_001) completion.resolve();
    });
    socket.on('disconnect', (reason) => completion.reject(new Error(String(reason))));
    await completion.promise;
    expect(fake.endReasons).toEqual([]);
    socket.off('disconnect');
    socket.close();
  },
);

test('room frames held for a reply are limited', async () => {
  await using fake = await startFakeBridge({ sendQueuePackets: 30 });
  await using client = await connectToRoom(fake, 'user:7');
  const start = Promise.withResolvers<void>();
  fake.operations['LegacyWriting'] = () => {
    start.resolve();
    return neverComplete();
  };
  client.emit('writing', { ...conversationRef, is_writing: true });
  await start.promise;
  for (let n = 0; n < 40; n += 1) fake.publish(createMessageSent('x'));
  await client.waitForClose();
  expect(fake.endReasons).toEqual(['SLOW']);
});

test('an operation that never ends times out and its connection is closed', async () => {
  await using fake = await startFakeBridge({ eventTimeoutMs: 50 } satisfies Partial<ConnectionLimits>);
  await using client = await connectToRoom(fake, 'user:7');
  fake.operations['LegacyWriting'] = neverComplete;
  client.emit('writing', { ...conversationRef, is_writing: true });
  expect(await client.next()).toBe('42["error","Erreur interne"]');
  await client.waitForClose();
  await waitUntil(() => fake.leases.size === 0);
});

test('a login that times out and succeeds after the close leaves no lease', async () => {
  await using fake = await startFakeBridge({ eventTimeoutMs: 50 });
  const leaseGate = Promise.withResolvers<void>();
  fake.beforeLease = leaseGate.promise;
  await using client = await openPacketSocket(fake.url);
  const isReleased = watchNewest(fake);
  client.emit('authenticate', { token: 'user:7' });
  expect(await client.next()).toBe('42["error","Erreur interne"]');
  await client.waitForClose();
  await waitUntil(isReleased);
  leaseGate.resolve();
  await waitUntil(() => fake.countFollowers('user:7') === 0);
  expect(fake.leases.size).toBe(0);
});

test('signals that arrive during a login are queued up to a megabyte', async () => {
  await using fake = await startFakeBridge();
  const leaseGate = Promise.withResolvers<void>();
  fake.beforeLease = leaseGate.promise;
  await using client = await openPacketSocket(fake.url);
  client.emit('authenticate', { token: 'user:7' });
  await waitUntil(() => fake.countFollowers('user:7') === 1);
  for (let number = 0; number < 10; number += 1)
    fake.publishEphemeral({
      type: 'signal',
      topic: 'user:7',
      sender: sampleEvent('message.sent').author,
      content: { number, text: 'x'.repeat(200_000) },
      legacyLease: 1,
    });
  leaseGate.resolve();
  const packets = await client.request('leave_circle', { circle_id: 1 });
  expect(packets.flatMap((packet) => /webrtc_forward.*"number":(\d)/.exec(packet)?.[1] ?? [])).toEqual([
    '0',
    '1',
  ]);
});

test('a join that times out and is permitted after the close follows no topic', async () => {
  await using fake = await startFakeBridge({ eventTimeoutMs: 50 });
  const permission = Promise.withResolvers<{ data: unknown }>();
  await using client = await openPacketSocket(fake.url);
  const isReleased = watchNewest(fake);
  await client.request('authenticate', { token: 'user:7' });
  fake.operations['LegacyConversation'] = () => permission.promise;
  client.emit('join_conversation', conversationRef);
  expect(await client.next()).toBe('42["error","Erreur interne"]');
  await client.waitForClose();
  await waitUntil(isReleased);
  expect(fake.countFollowers('conversation:12')).toBe(1);
  permission.resolve({ data: { conversation: { eventCursor: fake.readCursor('conversation:12') } } });
  await waitUntil(() => fake.countFollowers('conversation:12') === 0);
});

test('a payload that is too large closes its connection', async () => {
  await using fake = await startFakeBridge({ payloadBytes: 1_000 });
  await using client = await connectToRoom(fake, 'user:7');
  client.emit('writing', { padding: 'x'.repeat(2_000) });
  expect(await client.waitForClose()).toBe(1009);
});

test('a network failure after the upgrade is detected: the lease and the room are released', async () => {
  await using fake = await startFakeBridge({ pingIntervalMs: 100, pingTimeoutMs: 200 });
  const socket = loadClient('1.7.4')(fake.url, { forceNew: true, reconnection: false });
  const upgrade = Promise.withResolvers<void>();
  socket.on('connect', () => {
    socket.emit('authenticate', { token: 'user:7' });
    socket.emit('join_conversation', conversationRef);
  });
  const engine = socket.io.engine as unknown as {
    once(event: string, listener: () => void): void;
    ws?: unknown;
  };
  engine.once('upgrade', upgrade.resolve);
  await upgrade.promise;
  await waitUntil(() => fake.countFollowers('conversation:12') === 1);
  const transport = socket.io.engine.transport as unknown as {
    ws: { _socket: { pause(): void } };
    write(): void;
  };
  transport.write = () => {};
  await waitUntil(() => fake.leases.size === 0 && fake.countFollowers('conversation:12') === 0);
  socket.close();
});

test.for([
  ['pings', 3, '1:2', ''],
  ['rejected namespaces', 4, '40/a,', '\u001e'],
] as const)(
  'a polling client that only sends %s is disconnected at its limit',
  async ([, protocol, packet, separator]) => {
    await using fake = await startFakeBridge({ sendQueuePackets: 50 });
    const { post } = await openPollingSession(fake.url, `EIO=${protocol}`);
    await post(Array.from({ length: 1_000 }, () => packet).join(separator)).catch(() => undefined);
    expect((await post(packet)).status).toBe(400);
  },
);

test('the oldest session without a login makes room for the newest', async () => {
  await using fake = await startFakeBridge({ anonymousSessions: 2 });
  const loggedIn = await joinByPolling(fake);
  const sessions: PollingSession[] = [];
  for (let count = 0; count < 3; count += 1) sessions.push(await openPollingSession(fake.url, 'EIO=3&b64=1'));
  expect(await Promise.all(sessions.map(async (session) => (await session.poll()).status))).toEqual([
    400, 200, 200,
  ]);
  expect((await loggedIn.poll()).status).toBe(200);
  expect(fake.connectionCount).toBe(3);
});
