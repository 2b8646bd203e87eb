import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { encodeTextPayload } from '../harness/engine-io.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { startFakeBridge } from './fake-bridge.ts';
import type { FakeBridge } from './fake-bridge.ts';
import { createMessageSent } from './sample-events.ts';

// Abuse of Engine.IO sessions: the client is rejected or closed by the heartbeat, and no other client is affected.

let fake: FakeBridge;
let otherClient: PacketSocket;

beforeEach(async () => {
  fake = await startFakeBridge();
  otherClient = await openPacketSocket(fake.url);
});

afterEach(async () => {
  expect(await otherClient.request('webrtc_stun_info')).toEqual(['42["error","Erreur interne"]']);
  await otherClient[Symbol.asyncDispose]();
  await fake[Symbol.asyncDispose]();
});

const pollingUrl = (query: string, url = fake.url) => `${url}/socket.io/?transport=polling&${query}`;

async function openSession(query: string, url = fake.url): Promise<string> {
  const sid = /"sid\\?":\\?"([^"\\]+)/.exec(await (await fetch(pollingUrl(query, url))).text())?.[1];
  return `${pollingUrl(query, url)}&sid=${sid}`;
}

const post = (url: string, body: string, type = 'text/plain') =>
  fetch(url, { method: 'POST', body, headers: { 'content-type': type } });

async function readRejection(request: Promise<Response>): Promise<unknown> {
  const response = await request;
  return [response.status, await response.json()];
}

const UNKNOWN_SID = [400, { code: 1, message: 'Session ID unknown' }];

test.for([
  ['GET', 'transport=foo', 0, 'Transport unknown'],
  ['GET', '', 0, 'Transport unknown'],
  ['GET', 'transport=__proto__', 0, 'Transport unknown'],
  ['GET', 'transport=webtransport', 0, 'Transport unknown'],
  ['GET', 'transport=polling&transport=foo', 0, 'Transport unknown'],
  ['GET', 'transport=websocket', 3, 'Bad request'],
  ['POST', 'transport=polling', 2, 'Bad handshake method'],
  ['PUT', 'transport=polling', 2, 'Bad handshake method'],
  ['GET', 'transport=polling&sid=unknown', 1, 'Session ID unknown'],
  ['POST', 'transport=polling&sid=unknown', 1, 'Session ID unknown'],
  ['GET', 'transport=polling&sid=__proto__', 1, 'Session ID unknown'],
  ['GET', 'transport=polling&sid=constructor', 1, 'Session ID unknown'],
] as const)('%s with %s is rejected with code %i', async ([method, query, code, message]) => {
  const request = fetch(`${fake.url}/socket.io/?EIO=3&${query}`, { method });
  expect(await readRejection(request)).toEqual([400, { code, message }]);
  expect(fake.connectionCount).toBe(1);
});

test('a session cannot be used with the other protocol', async () => {
  const session = await openSession('EIO=3');
  expect(await readRejection(fetch(session.replace('EIO=3', 'EIO=4')))).toEqual([
    400,
    { code: 3, message: 'Bad request' },
  ]);
  expect((await post(session, '1:1')).status).toBe(200);
});

test('a concurrent second poll closes the session, and so does a second post', async () => {
  const polledSession = await openSession('EIO=4');
  const firstPoll = fetch(polledSession);
  await expect.poll(() => fake.connectionCount).toBe(2);
  await Promise.allSettled([firstPoll, fetch(polledSession), fetch(polledSession)]);
  expect(await readRejection(fetch(polledSession))).toEqual(UNKNOWN_SID);
  expect(fake.connectionCount).toBe(1);

  const postedSession = await openSession('EIO=3');
  const target = new URL(postedSession);
  const partialPosts: Socket[] = [];
  for (let n = 0; n < 2; n += 1) {
    const socket = connect(Number(target.port), target.hostname).on('error', () => {});
    partialPosts.push(socket);
    socket.write(
      `POST ${target.pathname}${target.search} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n1:2`,
    );
  }
  await expect.poll(() => fake.connectionCount).toBe(1);
  for (const socket of partialPosts) socket.destroy();
  expect(await readRejection(fetch(postedSession))).toEqual(UNKNOWN_SID);
});

/** Opens a WebSocket that requests the upgrade of a session. */
function openUpgrade(session: string): WebSocket {
  const url = session.replace('http', 'ws').replace('transport=polling', 'transport=websocket');
  return new WebSocket(url).on('error', () => {});
}

/** Upgrades a session to a WebSocket, with all steps. */
async function completeUpgrade(session: string): Promise<WebSocket> {
  const socket = openUpgrade(session);
  await once(socket, 'open');
  socket.send('2probe');
  const [probe] = (await once(socket, 'message')) as [Buffer];
  expect(probe.toString()).toBe('3probe');
  socket.send('5');
  return socket;
}

test('a second upgrade is closed, and the first continues', async () => {
  const session = await openSession('EIO=3');
  const firstUpgrade = openUpgrade(session);
  await once(firstUpgrade, 'open');
  const concurrentUpgrade = openUpgrade(session);
  await once(concurrentUpgrade, 'close');
  firstUpgrade.close();
  await once(firstUpgrade, 'close');
  // Events sent meanwhile arrive before the replies to later requests.
  const socket = await completeUpgrade(session);
  const lateUpgrade = openUpgrade(session);
  await once(lateUpgrade, 'close');
  const acknowledgement = new Promise((resolve) => {
    socket.on('message', (data: Buffer) => data.toString() === '431[]' && resolve(true));
  });
  socket.send('421["webrtc_join_room"]');
  expect(await acknowledgement).toBe(true);
  socket.close();
});

test('an upgrade of an unknown session is rejected', async () => {
  for (const query of ['EIO=3&sid=unknown', 'EIO=4&sid=__proto__']) {
    const socket = openUpgrade(pollingUrl(query));
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
    expect(response.statusCode).toBe(400);
    socket.terminate();
  }
  const otherProtocol = openUpgrade((await openSession('EIO=3')).replace('EIO=3', 'EIO=4'));
  const [, response] = (await once(otherProtocol, 'unexpected-response')) as [
    unknown,
    { statusCode: number },
  ];
  expect(response.statusCode).toBe(400);
  otherProtocol.terminate();
});

test.for([
  ['an empty body', ''],
  ['no payload', 'x=1'],
  ['an empty payload', 'd='],
  ['no packet', 'd=garbage'],
  ['two payloads', 'd=1:2&d=1:2'],
  ['an invalid percent encoding', 'd=%E0%A4%A'],
  ['a length that is too large', 'd=99999:42'],
  ['a negative length', 'd=-1:42'],
  ['a length in scientific notation', 'd=1e3:42'],
  ['only escapes', `d=${'\\n'.repeat(1_000)}`],
  ['only separators', '&'.repeat(100_000)],
] as const)('a malformed JSONP post is rejected: %s', async ([, body]) => {
  const session = await openSession('EIO=3&j=0');
  const response = await post(session, body, 'application/x-www-form-urlencoded');
  expect(response.status).toBe(200);
  await post(session, 'd=1:1', 'application/x-www-form-urlencoded').then((closed) => closed.text());
  await expect.poll(() => fake.connectionCount).toBe(1);
});

test.for(['<script>', '../x', '0);alert(1);(', '__proto__'])(
  'a JSONP callback index is always a number: %s',
  async (name) => {
    const text = await (await fetch(pollingUrl(`EIO=3&j=${encodeURIComponent(name)}`))).text();
    expect(text).toMatch(/^___eio\[\d*\]\("/);
  },
);

test('inherited object keys are not fields, and do not change prototypes', async () => {
  await otherClient.request('authenticate', { token: 'user:7' });
  otherClient.send('4291["join_conversation",{"__proto__":{"conversation_id":12}}]');
  expect(await otherClient.next('42')).toBe('42["error","Parameter missing"]');
  await otherClient.next('4391[]');
  let forwardedContent: unknown;
  fake.operations['LegacyForward'] = ({ content }) => {
    forwardedContent = content;
    return { data: {} };
  };
  const content = '{"__proto__":{"a":1},"constructor":{"prototype":{"a":1}},"user_id":8}';
  otherClient.send(`4292["webrtc_forward",${content}]`);
  expect(await otherClient.next('42["')).toBe('42["success","Message forwarded"]');
  await otherClient.next('4392[]');
  expect(JSON.stringify(forwardedContent)).toBe(content);
  expect(Reflect.get({}, 'a')).toBeUndefined();
});

test.for(['message', 'webrtc_forward', 'authenticate', 'join_conversation', 'nothing'])(
  'nine thousand nested brackets on %s, within the limits, get a normal reply',
  async (channel) => {
    await using client = await openPacketSocket(fake.url);
    await client.request('authenticate', { token: 'user:7' });
    const nested = `${'['.repeat(9_000)}${']'.repeat(9_000)}`;
    for (const text of [
      nested,
      `{"conversation_id":12,"user_id":8,"token":${nested},"text_message":${nested}}`,
    ]) {
      client.send(`429["${channel}",${text}]`);
      await client.next('439[]');
    }
  },
);

const SHORT_HEARTBEAT = { pingIntervalMs: 200, pingTimeoutMs: 300 };

test('handshakes that send nothing afterwards are closed by the heartbeat', async () => {
  await using fastFake = await startFakeBridge(SHORT_HEARTBEAT);
  const sockets: WebSocket[] = [];
  let sessionCount = 0;
  for (let round = 0; round < 40; round += 1) {
    const handshakes = Array.from({ length: 20 }, (_, n) =>
      fetch(pollingUrl(n % 2 === 0 ? 'EIO=3' : 'EIO=4', fastFake.url)).then((response) => response.text()),
    );
    for (const protocol of [3, 4]) {
      const url = `${fastFake.url.replace('http', 'ws')}/socket.io/?transport=websocket&EIO=${protocol}`;
      // Neither replies to the pings of the server nor sends its own.
      sockets.push(new WebSocket(url).on('error', () => {}));
    }
    for (const text of await Promise.all(handshakes)) if (text.includes('"sid"')) sessionCount += 1;
  }
  expect(sessionCount).toBe(800);
  await expect.poll(() => fastFake.connectionCount, { timeout: 10_000 }).toBe(0);
  await expect.poll(() => [...fastFake.bridge.connections()]).toEqual([]);
  for (const socket of sockets) socket.terminate();
});

/** Opens sessions that authenticate, join the room, and then do not poll. */
async function openJoinedSessions(count: number, url: string, query = 'EIO=3&b64=1'): Promise<string[]> {
  const packets = ['42["authenticate",{"token":"user:7"}]', '42["join_conversation",{"conversation_id":12}]'];
  const body = encodeTextPayload(packets);
  return Promise.all(
    Array.from({ length: count }, async () => {
      const session = await openSession(query, url);
      await post(session, body);
      return session;
    }),
  );
}

test('sessions that never poll are closed by the heartbeat, and release their leases and rooms', async () => {
  await using fastFake = await startFakeBridge(SHORT_HEARTBEAT);
  await openJoinedSessions(50, fastFake.url);
  await expect.poll(() => fastFake.connectionCount, { timeout: 10_000 }).toBe(0);
  await expect.poll(() => fastFake.leases.size).toBe(0);
  expect(fastFake.countFollowers('conversation:12')).toBe(0);
  expect(fastFake.countFollowers('user:7')).toBe(0);
});

test('a client that polls without reading responses is disconnected at its limit', async () => {
  const [session = ''] = await openJoinedSessions(1, fake.url);
  await expect.poll(() => fake.countFollowers('conversation:12')).toBe(1);
  const target = new URL(session);
  const stalledReader = connect(Number(target.port), target.hostname).on('error', () => {});
  stalledReader.pause();
  stalledReader.write(`GET ${target.pathname}${target.search} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const memoryBefore = process.memoryUsage().external + process.memoryUsage().heapUsed;
  const text = 'x'.repeat(64 * 1024);
  for (let n = 0; n < 5_000 && fake.endReasons.length === 0; n += 1) {
    fake.publish(createMessageSent(`${n}${text}`));
    await new Promise(setImmediate);
  }
  expect(fake.endReasons).toEqual(['SLOW']);
  expect(process.memoryUsage().external + process.memoryUsage().heapUsed - memoryBefore).toBeLessThan(
    100 * 1024 * 1024,
  );
  await expect.poll(() => fake.connectionCount).toBe(1);
  stalledReader.destroy();
});
