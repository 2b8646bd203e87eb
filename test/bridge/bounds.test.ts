import { expect, test } from 'vitest';
import { EVENT_SAMPLES } from '../../scripts/legacy-samples.ts';
import type { BridgeLimits } from '../../src/bridge/limits.ts';
import type { DomainEvent } from '../../src/events/event.ts';
import { loadClient } from '../clients/load.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import { measureMemory } from '../harness/heap.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { waitUntil } from '../harness/waiting.ts';
import { fakeBridge } from './fake-bridge.ts';
import type { FakeBridge } from './fake-bridge.ts';

// The limits of one client, and that others are not affected.

const talk = { conversation_id: 12 };

async function inRoom(fake: FakeBridge, token: string): Promise<PacketSocket> {
  const client = await openPacketSocket(fake.url);
  await client.request('authenticate', { token });
  await client.request('join_conversation', talk);
  return client;
}

function sent(text: string): DomainEvent {
  const [fact] = EVENT_SAMPLES['message.sent'];
  if (fact === undefined) throw new Error('There is no sample.');
  return { ...fact.fact, message: { ...fact.fact.message, text } };
}

const never = () => new Promise<never>(() => {});

test('a client that does not read is disconnected and its memory released; others receive everything', async () => {
  await using fake = await fakeBridge({ sendQueueBytes: 1024 * 1024 });
  await using slow = await inRoom(fake, 'user:7');
  await using other = await inRoom(fake, 'user:8');
  slow.socket.pause();
  const text = 'x'.repeat(64 * 1024);
  const before = measureMemory();
  let n = 0;
  while (fake.ends.length === 0) {
    fake.publish(sent(`${n}${text}`));
    n += 1;
    expect(await other.next()).toContain(`"content":"${n - 1}x`);
    if (n > 2_000) throw new Error('It was never disconnected.');
  }
  expect(fake.ends).toEqual(['SLOW']);
  await waitUntil(() => fake.leases.size === 1);
  // Compares memory in use: the amount of uncollected garbage depends on V8.
  expect(measureMemory() - before).toBeLessThan(20 * 1024 * 1024);
  slow.socket.resume();
  await slow.waitForClose();
});

test('a polling client that stops polling is disconnected at its limit', async () => {
  await using fake = await fakeBridge({ sendQueuePackets: 50 });
  const url = `${fake.url}/socket.io/?EIO=3&transport=polling&b64=1`;
  const sid = /"sid":"([^"]+)"/.exec(await (await fetch(url)).text())?.[1];
  const packets = [
    '42["authenticate",{"token":"user:7"}]',
    `42["join_conversation",${JSON.stringify(talk)}]`,
  ];
  await fetch(`${url}&sid=${sid}`, {
    method: 'POST',
    body: packets.map((packet) => `${packet.length}:${packet}`).join(''),
    headers: { 'content-type': 'text/plain' },
  });
  await waitUntil(() => fake.followers('conversation:12') === 1);
  for (let n = 0; n < 60; n += 1) fake.publish(sent('x'));
  expect(fake.ends).toEqual(['SLOW']);
  await waitUntil(() => fake.leases.size === 0);
  expect((await fetch(`${url}&sid=${sid}`)).status).toBe(400);
});

test('ephemeral frames are dropped for a congested client', async () => {
  await using fake = await fakeBridge();
  const url = `${fake.url}/socket.io/?EIO=3&transport=polling&b64=1`;
  const sid = /"sid":"([^"]+)"/.exec(await (await fetch(url)).text())?.[1];
  const packets = [
    '42["authenticate",{"token":"user:7"}]',
    `42["join_conversation",${JSON.stringify(talk)}]`,
  ];
  await fetch(`${url}&sid=${sid}`, {
    method: 'POST',
    body: packets.map((packet) => `${packet.length}:${packet}`).join(''),
    headers: { 'content-type': 'text/plain' },
  });
  await waitUntil(() => fake.followers('conversation:12') === 1);
  const fact = sent('x');
  if (fact.type !== 'message.sent') throw new Error('Another sample.');
  const type = () =>
    fake.whisper({ type: 'typing', topic: 'conversation:12', actor: fact.author, isTyping: true });
  type();
  for (let n = 0; n < 150; n += 1) fake.publish(fact);
  type();
  const text = await (await fetch(`${url}&sid=${sid}`)).text();
  expect(text.match(/\["message"/g)).toHaveLength(150);
  expect(text.match(/\["writing"/g)).toHaveLength(1);
});

test.for([
  ['events', { queuedEvents: 20 }],
  ['bytes', { queuedBytes: 2_000 }],
] as const)('a client that queues more %s than allowed is disconnected', async ([, limits]) => {
  await using fake = await fakeBridge(limits);
  await using client = await inRoom(fake, 'user:7');
  fake.operations['LegacyWriting'] = never;
  for (let n = 0; n < 40; n += 1)
    client.emit('writing', { ...talk, is_writing: true, filling: 'x'.repeat(50) });
  expect(await client.waitForClose()).toBe(1006);
  expect(fake.ends).toEqual(['SLOW']);
});

test('a client that sends as fast as it is served stays connected', async () => {
  await using fake = await fakeBridge({ queuedEvents: 20, queuedBytes: 4_000 });
  await using client = await inRoom(fake, 'user:7');
  for (let n = 0; n < 200; n += 1)
    expect(await client.request('writing', { ...talk, is_writing: true })).toHaveLength(1);
});

test.for([
  ['1.3.6', 'polling'],
  ['1.3.6', 'websocket'],
  ['2.5.0', 'polling'],
  ['4.8.4', 'websocket'],
] as const)(
  '%s over %s reconnects with thousands of events and receives all replies',
  async ([version, transport]) => {
    await using fake = await fakeBridge();
    const socket = loadClient(version)(fake.url, { transports: [transport], forceNew: true });
    // The client buffers these until it is connected, and then sends them in one burst.
    socket.emit('authenticate', { token: 'user:7' });
    for (let n = 0; n < 5_000; n += 1) socket.emit('writing', { ...talk, is_writing: true });
    let answered = 0;
    const all = Promise.withResolvers<void>();
    socket.on('success', () => {
      answered += 1;
      if (answered === 5_001) all.resolve();
    });
    socket.on('disconnect', (why) => all.reject(new Error(String(why))));
    await all.promise;
    expect(fake.ends).toEqual([]);
    socket.off('disconnect');
    socket.close();
  },
);

test('room frames held for a reply are limited', async () => {
  await using fake = await fakeBridge({ sendQueuePackets: 30 });
  await using client = await inRoom(fake, 'user:7');
  const begun = Promise.withResolvers<void>();
  fake.operations['LegacyWriting'] = () => {
    begun.resolve();
    return never();
  };
  client.emit('writing', { ...talk, is_writing: true });
  await begun.promise;
  for (let n = 0; n < 40; n += 1) fake.publish(sent('x'));
  await client.waitForClose();
  expect(fake.ends).toEqual(['SLOW']);
});

test('an operation that never ends times out and its connection is closed', async () => {
  await using fake = await fakeBridge({ eventMs: 50 } satisfies Partial<BridgeLimits>);
  await using client = await inRoom(fake, 'user:7');
  fake.operations['LegacyWriting'] = never;
  client.emit('writing', { ...talk, is_writing: true });
  expect(await client.next()).toBe('42["error","Erreur interne"]');
  await client.waitForClose();
  await waitUntil(() => fake.leases.size === 0);
});

test('a login that times out and succeeds after the close leaves no lease', async () => {
  await using fake = await fakeBridge({ eventMs: 50 });
  const opening = Promise.withResolvers<void>();
  fake.opening = opening.promise;
  await using client = await openPacketSocket(fake.url);
  client.emit('authenticate', { token: 'user:7' });
  expect(await client.next()).toBe('42["error","Erreur interne"]');
  await client.waitForClose();
  await waitUntil(() => [...fake.bridge.connections()].length === 0);
  opening.resolve();
  await waitUntil(() => fake.followers('user:7') === 0);
  expect(fake.leases.size).toBe(0);
});

test('a join that times out and is permitted after the close follows no topic', async () => {
  await using fake = await fakeBridge({ eventMs: 50 });
  const answer = Promise.withResolvers<{ data: unknown }>();
  await using client = await openPacketSocket(fake.url);
  await client.request('authenticate', { token: 'user:7' });
  fake.operations['LegacyConversation'] = () => answer.promise;
  client.emit('join_conversation', talk);
  expect(await client.next()).toBe('42["error","Erreur interne"]');
  await client.waitForClose();
  await waitUntil(() => [...fake.bridge.connections()].length === 0);
  answer.resolve({ data: { conversation: { eventCursor: fake.cursor('conversation:12') } } });
  await waitUntil(() => fake.followers('conversation:12') === 0);
});

test('a payload that is too large closes its connection', async () => {
  await using fake = await fakeBridge({ payloadBytes: 1_000 });
  await using client = await inRoom(fake, 'user:7');
  client.emit('writing', { filling: 'x'.repeat(2_000) });
  expect(await client.waitForClose()).toBe(1009);
});

test('a network failure after the upgrade is detected: the lease and the room are released', async () => {
  await using fake = await fakeBridge({ pingIntervalMs: 100, pingTimeoutMs: 200 });
  const socket = loadClient('1.7.4')(fake.url, { forceNew: true, reconnection: false });
  const upgraded = Promise.withResolvers<void>();
  socket.on('connect', () => {
    socket.emit('authenticate', { token: 'user:7' });
    socket.emit('join_conversation', talk);
  });
  const engine = socket.io.engine as unknown as {
    once(event: string, listener: () => void): void;
    ws?: unknown;
  };
  engine.once('upgrade', upgraded.resolve);
  await upgraded.promise;
  await waitUntil(() => fake.followers('conversation:12') === 1);
  const transport = socket.io.engine.transport as unknown as {
    ws: { _socket: { pause(): void } };
    write(): void;
  };
  transport.write = () => {};
  await waitUntil(() => fake.leases.size === 0 && fake.followers('conversation:12') === 0);
  socket.close();
});

test.for([
  ['pings', 3, '1:2', ''],
  ['refused namespaces', 4, '40/a,', '\u001e'],
] as const)(
  'a polling client that only sends %s is disconnected at its limit',
  async ([, protocol, packet, separator]) => {
    await using fake = await fakeBridge({ sendQueuePackets: 50 });
    const url = `${fake.url}/socket.io/?EIO=${protocol}&transport=polling`;
    const sid = /"sid":"([^"]+)"/.exec(await (await fetch(url)).text())?.[1];
    const post = (body: string) =>
      fetch(`${url}&sid=${sid}`, { method: 'POST', body, headers: { 'content-type': 'text/plain' } });
    await post(Array.from({ length: 1_000 }, () => packet).join(separator)).catch(() => undefined);
    expect((await post(packet)).status).toBe(400);
  },
);
