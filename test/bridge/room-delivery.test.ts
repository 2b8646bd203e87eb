import type { Socket as TcpSocket } from 'node:net';
import { Socket as EngineSocket } from 'engine.io';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ConnectionLimits } from '../../src/bridge/connection-limits.ts';
import { asciiJson } from '../../src/lib/ascii-json.ts';
import { loadClient } from '../clients/load.ts';
import {
  encodePayload,
  openPollingSession,
  decodeTextPayload,
  encodeTextPayload,
} from '../harness/engine-io.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { countWritesTo } from '../harness/tcp-writes.ts';
import { waitUntil } from '../harness/waiting.ts';
import { startFakeBridge } from './fake-bridge.ts';
import type { FakeBridge } from './fake-bridge.ts';
import { createMessageSent, sampleEvent } from './sample-events.ts';

// Room frames bypass engine.io for an idle connection, and pass through it otherwise. Clients see no difference.

const BURST_COUNT = 40;
const TOPIC = 'conversation:12';
const conversationRef = { conversation_id: 12 };

let fake: FakeBridge;

const startBridge = (limits: Partial<ConnectionLimits> = {}): Promise<FakeBridge> =>
  startFakeBridge(limits, { LEGACY_FORWARD_CHANNELS: ['webrtc_forward'] });

async function restartBridge(limits: Partial<ConnectionLimits>): Promise<void> {
  await fake[Symbol.asyncDispose]();
  fake = await startBridge(limits);
}

beforeEach(async () => {
  fake = await startBridge();
});

afterEach(async () => {
  vi.restoreAllMocks();
  await fake[Symbol.asyncDispose]();
});

const publishMessage = (text: string): void => fake.publish(createMessageSent(text));

/** Publishes a signal to one connection, whose frame passes through engine.io. */
function publishSignal(legacyLease: number, content: string): void {
  const { author: sender } = sampleEvent('message.sent');
  fake.publishEphemeral({ type: 'signal', topic: 'user:7', sender, content, legacyLease });
}

/** Returns the number at the start of the content of a frame, on any channel. */
const numberOf = (packet: string) => Number(/"content":"(\d+)/.exec(packet)?.[1]);

async function connectToRoom(protocol: 3 | 4, token = 'user:7'): Promise<PacketSocket> {
  const client = await openPacketSocket(fake.url, protocol);
  await client.request('authenticate', { token });
  await client.request('join_conversation', conversationRef);
  return client;
}

const readNewestLease = () => Math.max(...fake.leases.keys());

/** Counts the messages that engine.io sends from now on. */
function spyOnEngineSends(): () => number {
  const prototype: { sendPacket(type: string): void } = EngineSocket.prototype as never;
  const engineSends = vi.spyOn(prototype, 'sendPacket');
  return () => engineSends.mock.calls.filter(([type]) => type === 'message').length;
}

const tcpSocketOf = (client: PacketSocket) =>
  (client.socket as unknown as { readonly _socket: TcpSocket })._socket;

test('room frames for an idle connection bypass engine.io', async () => {
  await using client = await connectToRoom(3);
  await using protocol4Client = await connectToRoom(4);
  const engineSends = spyOnEngineSends();
  for (let n = 0; n < 5; n += 1) publishMessage(String(n));
  for (const receiver of [client, protocol4Client])
    for (let n = 0; n < 5; n += 1) expect(numberOf(await receiver.next())).toBe(n);
  expect(engineSends()).toBe(0);
});

test('room frames of one turn of the event loop leave in one write', async () => {
  await using client = await connectToRoom(3);
  await using protocol4Client = await connectToRoom(4);
  const counts = [client, protocol4Client].map(({ socket }) => countWritesTo(socket));
  for (let n = 0; n < 5; n += 1) publishMessage(String(n));
  for (const receiver of [client, protocol4Client])
    for (let n = 0; n < 5; n += 1) expect(numberOf(await receiver.next())).toBe(n);
  expect(counts.map((count) => count())).toEqual([1, 1]);
});

test('room frames of one turn of the event loop are one response to a poll', async () => {
  const flush = vi.spyOn(EngineSocket.prototype as unknown as { flush(): void }, 'flush');
  const { poll, post } = await openPollingSession(fake.url, 'EIO=4');
  await post('40');
  await poll();
  const authenticate = '42["authenticate",{"token":"user:7"}]';
  await post(encodePayload([authenticate, `42["join_conversation",${JSON.stringify(conversationRef)}]`]));
  while (!(await poll()).text.includes('rejoins'));
  const flushCount = flush.mock.calls.length;
  const polled = poll();
  // engine.io has received the poll.
  await waitUntil(() => flush.mock.calls.length > flushCount);
  for (let n = 0; n < 5; n += 1) publishMessage(String(n));
  const packets = (await polled).text.split('\u001e');
  expect(packets.map(numberOf)).toEqual([0, 1, 2, 3, 4]);
});

test('frames that bypass engine.io and frames that do not arrive in the order they were sent', async () => {
  await restartBridge({ sendQueueBytes: 2 ** 30 });
  const stepLists = fc.array(
    fc.constantFrom('message', 'message', 'large message', 'signal', 'turn', 'pause', 'resume'),
    {
      minLength: 1,
      maxLength: 25,
      size: 'max',
    },
  );
  let [bypassedCount, engineCount] = [0, 0];
  await fc.assert(
    fc.asyncProperty(stepLists, fc.constantFrom<3 | 4>(3, 4), async (steps, protocol) => {
      await using client = await connectToRoom(protocol);
      const lease = readNewestLease();
      const engineSends = spyOnEngineSends();
      const received: number[] = [];
      client.socket.on('message', (data: Buffer) => {
        received.push(numberOf(data.toString()));
      });
      let publishedCount = 0;
      for (const step of steps) {
        if (step === 'turn') await new Promise(setImmediate);
        else if (step === 'pause') client.socket.pause();
        else if (step === 'resume') client.socket.resume();
        else if (step === 'signal') publishSignal(lease, String(publishedCount++));
        else publishMessage(`${publishedCount++}${step === 'message' ? '' : 'é'.repeat(200_000)}`);
      }
      client.socket.resume();
      await waitUntil(() => received.length === publishedCount);
      expect(received).toEqual(Array.from({ length: publishedCount }, (_, n) => n));
      engineCount += engineSends();
      bypassedCount += publishedCount - engineSends();
      vi.restoreAllMocks();
      client.socket.close();
      await waitUntil(() => fake.leases.size === 0 && fake.countFollowers(TOPIC) === 0);
    }),
    { numRuns: BURST_COUNT },
  );
  expect(bypassedCount).toBeGreaterThan(BURST_COUNT);
  expect(engineCount).toBeGreaterThan(BURST_COUNT);
});

test.for([
  [3, 'ASCII', 'Bonjour'],
  [3, 'non-ASCII', 'é€😀\u2028 Ã©tat'],
  [3, 'a long text', `é${'x'.repeat(70_000)}`],
  [4, 'ASCII', 'Bonjour'],
  [4, 'non-ASCII', 'é€😀\u2028 Ã©tat'],
  [4, 'a long text', `é${'x'.repeat(70_000)}`],
] as const)('both paths send identical bytes to protocol %i: %s', async ([protocol, , text]) => {
  await using client = await connectToRoom(protocol);
  const engineSends = spyOnEngineSends();
  let bytes = Buffer.alloc(0);
  tcpSocketOf(client).on('data', (chunk: Buffer) => (bytes = Buffer.concat([bytes, chunk])));
  publishMessage(text);
  const first = await client.next('42["message"');
  expect(engineSends()).toBe(0);
  const bypassedBytes = bytes;
  publishSignal(readNewestLease(), '0');
  publishMessage(text);
  expect(await client.next('42["message"')).toBe(first);
  expect(engineSends()).toBeGreaterThan(1);
  expect(bytes.subarray(-bypassedBytes.length).equals(bypassedBytes)).toBe(true);
  const { length } = Buffer.from(first);
  expect(bypassedBytes.length).toBe(length + (length < 2 ** 16 ? 4 : 10));
  expect(bypassedBytes.subarray(-length).toString()).toBe(first);
  const content = JSON.stringify(text);
  expect(first).toContain(`"content":${protocol === 3 ? asciiJson(content) : content},`);
});

test.for([
  ['1.0.6', 'websocket'],
  ['1.0.6', 'polling'],
  ['1.3.6', 'websocket'],
  ['4.8.4', 'websocket'],
] as const)('%s over %s reads every character', async ([version, transport]) => {
  const socket = loadClient(version)(fake.url, { transports: [transport], forceNew: true });
  const text = 'é€😀\u2028 Ã©tat';
  const received = new Promise<unknown>((resolve) => {
    socket.on('message', (payload) =>
      resolve((payload as { message: { content: unknown } }).message.content),
    );
  });
  socket.emit('authenticate', { token: 'user:7' });
  socket.emit('join_conversation', conversationRef, () => publishMessage(text));
  expect(await received).toBe(text);
  socket.close();
});

test.for(['1.0.6', '1.3.6', '1.7.4', '2.5.0', '4.8.4'] as const)(
  '%s receives a burst completely and in order while it upgrades from polling to WebSocket',
  async (version) => {
    const socket = loadClient(version)(fake.url, { forceNew: true });
    const received: number[] = [];
    socket.on('message', (payload) => {
      const { message } = payload as { message: { content: string } };
      received.push(Number.parseInt(message.content, 10));
    });
    let isMember = false;
    socket.emit('authenticate', { token: 'user:7' });
    socket.emit('join_conversation', conversationRef, () => (isMember = true));
    const isUpgraded = () => socket.io.engine.transport.name === 'websocket';
    let publishedCount = 0;
    const publishBurst = () => {
      for (let n = 0; n < 3; n += 1) publishMessage(`${publishedCount++} é`);
    };
    while (!isMember || !isUpgraded()) {
      // Not faster than the client reads: a slow polling client would be disconnected.
      if (isMember && publishedCount - (received.at(-1) ?? 0) < 100) publishBurst();
      await new Promise(setImmediate);
    }
    for (let n = 0; n < 20; n += 1) publishBurst();
    await waitUntil(() => received.at(-1) === publishedCount - 1);
    expect(received).toEqual(Array.from({ length: publishedCount }, (_, n) => n));
    socket.close();
  },
);

test.for([
  [3, encodeTextPayload, decodeTextPayload],
  [4, encodePayload, (text: string) => text.split('\u001e')],
] as const)(
  'frames sent between the steps of an upgrade of protocol %i arrive in order',
  async ([protocol, encode, decode]) => {
    const { poll, post, openSocket } = await openPollingSession(fake.url, `EIO=${protocol}&b64=1`);
    if (protocol === 4) await post('40');
    await poll();
    await post(
      encode([
        '42["authenticate",{"token":"user:7"}]',
        `42["join_conversation",${JSON.stringify(conversationRef)}]`,
      ]),
    );
    const received: string[] = [];
    const pollUntilUpgrade = async (): Promise<void> => {
      while (!received.includes('6')) received.push(...decode((await poll()).text));
    };
    const polling = pollUntilUpgrade();
    await waitUntil(() => received.some((packet) => packet.includes('rejoins')));
    let publishedCount = 0;
    const publishBurst = () => {
      for (let n = 0; n < 3; n += 1) publishMessage(`${publishedCount++} é`);
    };
    publishBurst();
    const socket = await openSocket();
    const webSocketPackets: string[] = [];
    socket.on('message', (data: Buffer) => webSocketPackets.push(data.toString()));
    publishBurst();
    socket.send('2probe');
    publishBurst();
    await waitUntil(() => webSocketPackets.includes('3probe'));
    publishBurst();
    await polling;
    publishBurst();
    socket.send('5');
    publishBurst();
    await waitUntil(() => webSocketPackets.length > 1);
    for (let n = 0; n < 5; n += 1) publishBurst();
    const numbers = () => [...received, ...webSocketPackets].map(numberOf).filter((n) => !Number.isNaN(n));
    await waitUntil(() => numbers().length >= publishedCount);
    expect(numbers()).toEqual(Array.from({ length: publishedCount }, (_, n) => n));
    socket.terminate();
  },
);

test('a client that stops reading during a burst is disconnected at its limit, and others receive all of it', async () => {
  await restartBridge({ sendQueuePackets: 200 });
  await using slowClient = await connectToRoom(4, 'user:7');
  await using otherClient = await connectToRoom(3, 'user:8');
  tcpSocketOf(slowClient).pause();
  const engineSends = spyOnEngineSends();
  let publishedCount = 0;
  while (fake.endReasons.length === 0) {
    for (let n = 0; n < 10; n += 1) publishMessage(`${publishedCount++}${'x'.repeat(8_192)}`);
    for (let n = publishedCount - 10; n < publishedCount; n += 1)
      expect(numberOf(await otherClient.next())).toBe(n);
    // More than the kernel buffers hold.
    if (publishedCount > 20_000) throw new Error('The client was never disconnected.');
  }
  expect(fake.endReasons).toEqual(['SLOW']);
  // Every frame sent through engine.io was queued, except the one handed to the socket.
  expect(engineSends()).toBeLessThanOrEqual(202);
  await waitUntil(() => fake.leases.size === 1);
});

test.for(['terminate', 'close', 'destroy'] as const)(
  'a client whose socket closes by %s during a burst is released, and others receive all of it',
  async (closeBy) => {
    await using otherClient = await connectToRoom(4, 'user:8');
    await using closingClient = await connectToRoom(3, 'user:7');
    let publishedCount = 0;
    const publishBurst = () => {
      for (let n = 0; n < 20; n += 1) publishMessage(`${publishedCount++}${'x'.repeat(8_192)}`);
    };
    publishBurst();
    if (closeBy === 'destroy') tcpSocketOf(closingClient).resetAndDestroy();
    else closingClient.socket[closeBy]();
    while (fake.leases.size > 1) {
      publishBurst();
      await new Promise(setImmediate);
    }
    publishBurst();
    for (let n = 0; n < publishedCount; n += 1) expect(numberOf(await otherClient.next())).toBe(n);
    expect(fake.endReasons).toEqual(['CLIENT']);
    expect(fake.countFollowers(TOPIC)).toBe(1);
  },
);

test('a client that has left its namespace receives no more of the room while its transport is open', async () => {
  await using client = await connectToRoom(3);
  client.send('41');
  // It is in the room until its earlier events have run.
  await waitUntil(() => fake.endReasons.length === 1);
  expect(fake.leases.size).toBe(1);
  publishMessage('0');
  client.send('2');
  expect(await client.next()).toBe('3');
});
