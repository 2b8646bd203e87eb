import type { Socket as TcpSocket } from 'node:net';
import { Socket as EngineSocket } from 'engine.io';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { EVENT_SAMPLES } from '../../scripts/legacy-samples.ts';
import { asciiJson } from '../../src/lib/ascii-json.ts';
import type { BridgeLimits } from '../../src/bridge/limits.ts';
import { loadClient } from '../clients/load.ts';
import {
  encodePayload,
  openPollingSession,
  decodeTextPayload,
  encodeTextPayload,
} from '../harness/engine-io.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { waitUntil } from '../harness/waiting.ts';
import { fakeBridge } from './fake-bridge.ts';
import type { FakeBridge } from './fake-bridge.ts';

// Room frames bypass engine.io for an idle connection, and go through it otherwise: clients cannot tell which.

const BURSTS = 40;
const TOPIC = 'conversation:12';
const talk = { conversation_id: 12 };
const [sample] = EVENT_SAMPLES['message.sent'];

let fake: FakeBridge;

const open = (limits: Partial<BridgeLimits> = {}): Promise<FakeBridge> =>
  fakeBridge(limits, { LEGACY_FORWARD_CHANNELS: ['webrtc_forward'] });

async function reopen(limits: Partial<BridgeLimits>): Promise<void> {
  await fake[Symbol.asyncDispose]();
  fake = await open(limits);
}

beforeEach(async () => {
  fake = await open();
});

afterEach(async () => {
  vi.restoreAllMocks();
  await fake[Symbol.asyncDispose]();
});

function speak(text: string): void {
  if (sample === undefined) throw new Error('There is no sample.');
  fake.publish({ ...sample.fact, message: { ...sample.fact.message, text } });
}

/** Says something to one connection alone, which goes through engine.io. */
function signal(legacyLease: number, content: string): void {
  if (sample === undefined) throw new Error('There is no sample.');
  fake.whisper({ type: 'signal', topic: 'user:7', sender: sample.fact.author, content, legacyLease });
}

/** The numbers that were said, on whatever channel. */
const numberOf = (packet: string) => Number(/"content":"(\d+)/.exec(packet)?.[1]);

async function inRoom(protocol: 3 | 4, token = 'user:7'): Promise<PacketSocket> {
  const client = await openPacketSocket(fake.url, protocol);
  await client.request('authenticate', { token });
  await client.request('join_conversation', talk);
  return client;
}

const newestLease = () => Math.max(...fake.leases.keys());

/** Counts what engine.io is given to send. */
function countSends(): () => number {
  const prototype: { sendPacket(type: string): void } = EngineSocket.prototype as never;
  const sends = vi.spyOn(prototype, 'sendPacket');
  return () => sends.mock.calls.filter(([type]) => type === 'message').length;
}

const tcpOf = (client: PacketSocket) => (client.socket as unknown as { readonly _socket: TcpSocket })._socket;

test('room frames for an idle connection bypass engine.io', async () => {
  await using client = await inRoom(3);
  await using recent = await inRoom(4);
  const sends = countSends();
  for (let n = 0; n < 5; n += 1) speak(String(n));
  for (const one of [client, recent])
    for (let n = 0; n < 5; n += 1) expect(numberOf(await one.next())).toBe(n);
  expect(sends()).toBe(0);
});

test('frames that bypass engine.io and frames that do not arrive in the order they were sent', async () => {
  await reopen({ sendQueueBytes: 2 ** 30 });
  const steps = fc.array(
    fc.constantFrom('speak', 'speak', 'speak at length', 'signal', 'turn', 'pause', 'read'),
    {
      minLength: 1,
      maxLength: 25,
      size: 'max',
    },
  );
  let [past, through] = [0, 0];
  await fc.assert(
    fc.asyncProperty(steps, fc.constantFrom<3 | 4>(3, 4), async (taken, protocol) => {
      await using client = await inRoom(protocol);
      const lease = newestLease();
      const sends = countSends();
      const heard: number[] = [];
      client.socket.on('message', (data: Buffer) => {
        heard.push(numberOf(data.toString()));
      });
      let said = 0;
      for (const step of taken) {
        if (step === 'turn') await new Promise(setImmediate);
        else if (step === 'pause') client.socket.pause();
        else if (step === 'read') client.socket.resume();
        else if (step === 'signal') signal(lease, String(said++));
        else speak(`${said++}${step === 'speak' ? '' : 'é'.repeat(200_000)}`);
      }
      client.socket.resume();
      await waitUntil(() => heard.length === said);
      expect(heard).toEqual(Array.from({ length: said }, (_, n) => n));
      through += sends();
      past += said - sends();
      vi.restoreAllMocks();
      client.socket.close();
      await waitUntil(() => fake.leases.size === 0 && fake.followers(TOPIC) === 0);
    }),
    { numRuns: BURSTS },
  );
  expect(past).toBeGreaterThan(BURSTS);
  expect(through).toBeGreaterThan(BURSTS);
});

test.for([
  [3, 'ASCII', 'Bonjour'],
  [3, 'other text', 'é€😀\u2028 Ã©tat'],
  [3, 'a long one', `é${'x'.repeat(70_000)}`],
  [4, 'ASCII', 'Bonjour'],
  [4, 'other text', 'é€😀\u2028 Ã©tat'],
  [4, 'a long one', `é${'x'.repeat(70_000)}`],
] as const)('both paths send identical bytes to protocol %i: %s', async ([protocol, , text]) => {
  await using client = await inRoom(protocol);
  const sends = countSends();
  let bytes = Buffer.alloc(0);
  tcpOf(client).on('data', (chunk: Buffer) => (bytes = Buffer.concat([bytes, chunk])));
  speak(text);
  const first = await client.next('42["message"');
  expect(sends()).toBe(0);
  const past = bytes;
  signal(newestLease(), '0');
  speak(text);
  expect(await client.next('42["message"')).toBe(first);
  expect(sends()).toBeGreaterThan(1);
  expect(bytes.subarray(-past.length).equals(past)).toBe(true);
  const { length } = Buffer.from(first);
  expect(past.length).toBe(length + (length < 2 ** 16 ? 4 : 10));
  expect(past.subarray(-length).toString()).toBe(first);
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
  const heard = new Promise<unknown>((resolve) => {
    socket.on('message', (payload) =>
      resolve((payload as { message: { content: unknown } }).message.content),
    );
  });
  socket.emit('authenticate', { token: 'user:7' });
  socket.emit('join_conversation', talk, () => speak(text));
  expect(await heard).toBe(text);
  socket.close();
});

test.for(['1.0.6', '1.3.6', '1.7.4', '2.5.0', '4.8.4'] as const)(
  '%s receives a burst completely and in order while it upgrades from polling to WebSocket',
  async (version) => {
    const socket = loadClient(version)(fake.url, { forceNew: true });
    const heard: number[] = [];
    socket.on('message', (payload) => {
      const { message } = payload as { message: { content: string } };
      heard.push(Number.parseInt(message.content, 10));
    });
    let isMember = false;
    socket.emit('authenticate', { token: 'user:7' });
    socket.emit('join_conversation', talk, () => (isMember = true));
    const isUpgraded = () => socket.io.engine.transport.name === 'websocket';
    let said = 0;
    const burst = () => {
      for (let n = 0; n < 3; n += 1) speak(`${said++} é`);
    };
    while (!isMember || !isUpgraded()) {
      // No faster than it is read: a slow polling client would be disconnected.
      if (isMember && said - (heard.at(-1) ?? 0) < 100) burst();
      await new Promise(setImmediate);
    }
    for (let n = 0; n < 20; n += 1) burst();
    await waitUntil(() => heard.at(-1) === said - 1);
    expect(heard).toEqual(Array.from({ length: said }, (_, n) => n));
    socket.close();
  },
);

test.for([
  [3, (packets: readonly string[]) => encodeTextPayload(packets), (text: string) => decodeTextPayload(text)],
  [4, (packets: readonly string[]) => encodePayload(packets), (text: string) => text.split('\u001e')],
] as const)(
  'frames sent between the steps of an upgrade of protocol %i arrive in order',
  async ([protocol, encode, read]) => {
    const { poll, post, openSocket } = await openPollingSession(fake.url, `EIO=${protocol}&b64=1`);
    if (protocol === 4) await post('40');
    await poll();
    await post(
      encode(['42["authenticate",{"token":"user:7"}]', `42["join_conversation",${JSON.stringify(talk)}]`]),
    );
    const heard: string[] = [];
    const listen = async (): Promise<void> => {
      while (!heard.includes('6')) heard.push(...read((await poll()).text));
    };
    const listening = listen();
    await waitUntil(() => heard.some((packet) => packet.includes('rejoins')));
    let said = 0;
    const burst = () => {
      for (let n = 0; n < 3; n += 1) speak(`${said++} é`);
    };
    burst();
    const socket = await openSocket();
    const byFrame: string[] = [];
    socket.on('message', (data: Buffer) => byFrame.push(data.toString()));
    burst();
    socket.send('2probe');
    burst();
    await waitUntil(() => byFrame.includes('3probe'));
    burst();
    await listening;
    burst();
    socket.send('5');
    burst();
    await waitUntil(() => byFrame.length > 1);
    for (let n = 0; n < 5; n += 1) burst();
    const numbers = () => [...heard, ...byFrame].map(numberOf).filter((n) => !Number.isNaN(n));
    await waitUntil(() => numbers().length >= said);
    expect(numbers()).toEqual(Array.from({ length: said }, (_, n) => n));
    socket.terminate();
  },
);

test('a client that stops reading during a burst is disconnected at its limit, and others receive all of it', async () => {
  await reopen({ sendQueuePackets: 200 });
  await using slow = await inRoom(4, 'user:7');
  await using other = await inRoom(3, 'user:8');
  tcpOf(slow).pause();
  const sends = countSends();
  let said = 0;
  while (fake.ends.length === 0) {
    for (let n = 0; n < 10; n += 1) speak(`${said++}${'x'.repeat(8_192)}`);
    for (let n = said - 10; n < said; n += 1) expect(numberOf(await other.next())).toBe(n);
    // More than the buffers of the system take.
    if (said > 20_000) throw new Error('It was never disconnected.');
  }
  expect(fake.ends).toEqual(['SLOW']);
  // All that was sent through engine.io waited, but for the one that was given to the socket.
  expect(sends()).toBeLessThanOrEqual(202);
  await waitUntil(() => fake.leases.size === 1);
});

test.for(['terminate', 'close', 'destroy'] as const)(
  'a client whose socket closes by %s during a burst is released, and others receive all of it',
  async (how) => {
    await using other = await inRoom(4, 'user:8');
    await using leaver = await inRoom(3, 'user:7');
    let said = 0;
    const burst = () => {
      for (let n = 0; n < 20; n += 1) speak(`${said++}${'x'.repeat(8_192)}`);
    };
    burst();
    if (how === 'destroy') tcpOf(leaver).resetAndDestroy();
    else leaver.socket[how]();
    while (fake.leases.size > 1) {
      burst();
      await new Promise(setImmediate);
    }
    burst();
    for (let n = 0; n < said; n += 1) expect(numberOf(await other.next())).toBe(n);
    expect(fake.ends).toEqual(['CLIENT']);
    expect(fake.followers(TOPIC)).toBe(1);
  },
);

test('a client that has left its namespace receives no more of the room while its transport is open', async () => {
  await using client = await inRoom(3);
  client.send('41');
  // It is in the room until what it sent has run.
  await waitUntil(() => fake.ends.length === 1);
  expect(fake.leases.size).toBe(1);
  speak('0');
  client.send('2');
  expect(await client.next()).toBe('3');
});
