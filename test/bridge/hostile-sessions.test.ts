import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { EVENT_SAMPLES } from '../../scripts/legacy-samples.ts';
import type { DomainEvent } from '../../src/events/event.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { fakeBridge } from './fake-bridge.ts';
import type { FakeBridge } from './fake-bridge.ts';

// Sessions of Engine.IO as no client of good will uses them: who does it is refused, or dies by its heartbeat, and
// no other client is affected.

let fake: FakeBridge;
let witness: PacketSocket;

beforeEach(async () => {
  fake = await fakeBridge();
  witness = await openPacketSocket(fake.url);
});

afterEach(async () => {
  expect(await witness.request('webrtc_stun_info')).toEqual(['42["error","Erreur interne"]']);
  await witness[Symbol.asyncDispose]();
  await fake[Symbol.asyncDispose]();
});

const polling = (query: string, url = fake.url) => `${url}/socket.io/?transport=polling&${query}`;

async function openSession(query: string, url = fake.url): Promise<string> {
  const sid = /"sid\\?":\\?"([^"\\]+)/.exec(await (await fetch(polling(query, url))).text())?.[1];
  return `${polling(query, url)}&sid=${sid}`;
}

const post = (url: string, body: string, type = 'text/plain') =>
  fetch(url, { method: 'POST', body, headers: { 'content-type': type } });

async function refusal(answering: Promise<Response>): Promise<unknown> {
  const answer = await answering;
  return [answer.status, await answer.json()];
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
] as const)('%s with %s is refused with code %i', async ([method, query, code, message]) => {
  const answering = fetch(`${fake.url}/socket.io/?EIO=3&${query}`, { method });
  expect(await refusal(answering)).toEqual([400, { code, message }]);
  expect(fake.opened).toBe(1);
});

test('a session cannot be used with the other protocol', async () => {
  const session = await openSession('EIO=3');
  expect(await refusal(fetch(session.replace('EIO=3', 'EIO=4')))).toEqual([
    400,
    { code: 3, message: 'Bad request' },
  ]);
  expect((await post(session, '1:1')).status).toBe(200);
});

test('a concurrent second poll closes the session, and so does a second post', async () => {
  const polled = await openSession('EIO=4');
  const first = fetch(polled);
  await expect.poll(() => fake.opened).toBe(2);
  await Promise.allSettled([first, fetch(polled), fetch(polled)]);
  expect(await refusal(fetch(polled))).toEqual(UNKNOWN_SID);
  expect(fake.opened).toBe(1);

  const posted = await openSession('EIO=3');
  const target = new URL(posted);
  const halves: Socket[] = [];
  for (let n = 0; n < 2; n += 1) {
    const half = connect(Number(target.port), target.hostname).on('error', () => {});
    halves.push(half);
    half.write(
      `POST ${target.pathname}${target.search} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n1:2`,
    );
  }
  await expect.poll(() => fake.opened).toBe(1);
  for (const half of halves) half.destroy();
  expect(await refusal(fetch(posted))).toEqual(UNKNOWN_SID);
});

function upgrade(session: string): WebSocket {
  const url = session.replace('http', 'ws').replace('transport=polling', 'transport=websocket');
  return new WebSocket(url).on('error', () => {});
}

async function upgraded(session: string): Promise<WebSocket> {
  const socket = upgrade(session);
  await once(socket, 'open');
  socket.send('2probe');
  const [answer] = (await once(socket, 'message')) as [Buffer];
  expect(answer.toString()).toBe('3probe');
  socket.send('5');
  return socket;
}

test('a second upgrade is closed, and the first continues', async () => {
  const session = await openSession('EIO=3');
  const early = upgrade(session);
  await once(early, 'open');
  const meanwhile = upgrade(session);
  await once(meanwhile, 'close');
  early.close();
  await once(early, 'close');
  // Events sent meanwhile arrive before the replies to later requests.
  const socket = await upgraded(session);
  const late = upgrade(session);
  await once(late, 'close');
  const answered = new Promise((resolve) => {
    socket.on('message', (data: Buffer) => data.toString() === '431[]' && resolve(true));
  });
  socket.send('421["webrtc_join_room"]');
  expect(await answered).toBe(true);
  socket.close();
});

test('an upgrade of an unknown session is refused', async () => {
  for (const query of ['EIO=3&sid=unknown', 'EIO=4&sid=__proto__']) {
    const socket = upgrade(polling(query));
    const [, answer] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
    expect(answer.statusCode).toBe(400);
    socket.terminate();
  }
  const foreign = upgrade((await openSession('EIO=3')).replace('EIO=3', 'EIO=4'));
  const [, answer] = (await once(foreign, 'unexpected-response')) as [unknown, { statusCode: number }];
  expect(answer.statusCode).toBe(400);
  foreign.terminate();
});

test.for([
  ['nothing', ''],
  ['no payload', 'x=1'],
  ['an empty payload', 'd='],
  ['no packet', 'd=garbage'],
  ['two payloads', 'd=1:2&d=1:2'],
  ['a broken encoding', 'd=%E0%A4%A'],
  ['a length that is too great', 'd=99999:42'],
  ['a length below zero', 'd=-1:42'],
  ['an odd length', 'd=1e3:42'],
  ['escapes alone', `d=${'\\n'.repeat(1_000)}`],
  ['separators alone', '&'.repeat(100_000)],
] as const)('a malformed JSONP post is refused: %s', async ([, body]) => {
  const session = await openSession('EIO=3&j=0');
  const answer = await post(session, body, 'application/x-www-form-urlencoded');
  expect(answer.status).toBe(200);
  await post(session, 'd=1:1', 'application/x-www-form-urlencoded').then((left) => left.text());
  await expect.poll(() => fake.opened).toBe(1);
});

test.for(['<script>', '../x', '0);alert(1);(', '__proto__'])(
  'a JSONP callback index is always a number: %s',
  async (name) => {
    const text = await (await fetch(polling(`EIO=3&j=${encodeURIComponent(name)}`))).text();
    expect(text).toMatch(/^___eio\[\d*\]\("/);
  },
);

test('inherited object keys are not fields, and do not change prototypes', async () => {
  await witness.request('authenticate', { token: 'user:7' });
  witness.send('4291["join_conversation",{"__proto__":{"conversation_id":12}}]');
  expect(await witness.next('42')).toBe('42["error","Parameter missing"]');
  await witness.next('4391[]');
  let forwarded: unknown;
  fake.operations['LegacyForward'] = ({ content }) => {
    forwarded = content;
    return { data: {} };
  };
  const content = '{"__proto__":{"a":1},"constructor":{"prototype":{"a":1}},"user_id":8}';
  witness.send(`4292["webrtc_forward",${content}]`);
  expect(await witness.next('42["')).toBe('42["success","Message forwarded"]');
  await witness.next('4392[]');
  expect(JSON.stringify(forwarded)).toBe(content);
  expect(Reflect.get({}, 'a')).toBeUndefined();
});

test.for(['message', 'webrtc_forward', 'authenticate', 'join_conversation', 'nothing'])(
  'a hundred thousand nested brackets on %s get a normal reply',
  async (channel) => {
    await using client = await openPacketSocket(fake.url);
    await client.request('authenticate', { token: 'user:7' });
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    for (const text of [deep, `{"conversation_id":12,"user_id":8,"token":${deep},"text_message":${deep}}`]) {
      client.send(`429["${channel}",${text}]`);
      await client.next('439[]');
    }
  },
);

const brief = { pingIntervalMs: 200, pingTimeoutMs: 300 };

test('handshakes that send nothing afterwards are closed by the heartbeat', async () => {
  await using quick = await fakeBridge(brief);
  const sockets: WebSocket[] = [];
  let answered = 0;
  for (let round = 0; round < 40; round += 1) {
    const opening = Array.from({ length: 20 }, (_, n) =>
      fetch(polling(n % 2 === 0 ? 'EIO=3' : 'EIO=4', quick.url)).then((answer) => answer.text()),
    );
    for (const protocol of [3, 4]) {
      const url = `${quick.url.replace('http', 'ws')}/socket.io/?transport=websocket&EIO=${protocol}`;
      // One that answers neither the ping of the server nor sends its own.
      sockets.push(new WebSocket(url).on('error', () => {}));
    }
    for (const text of await Promise.all(opening)) if (text.includes('"sid"')) answered += 1;
  }
  expect(answered).toBe(800);
  await expect.poll(() => quick.opened, { timeout: 10_000 }).toBe(0);
  await expect.poll(() => [...quick.bridge.connections()]).toEqual([]);
  for (const socket of sockets) socket.terminate();
});

function sent(text: string): DomainEvent {
  const [fact] = EVENT_SAMPLES['message.sent'];
  if (fact === undefined) throw new Error('There is no sample.');
  return { ...fact.fact, message: { ...fact.fact.message, text } };
}

/** Sessions that have authenticated and joined, and have not polled since. */
async function joined(count: number, url: string, query = 'EIO=3&b64=1'): Promise<string[]> {
  const packets = ['42["authenticate",{"token":"user:7"}]', '42["join_conversation",{"conversation_id":12}]'];
  const body = packets.map((packet) => `${packet.length}:${packet}`).join('');
  return Promise.all(
    Array.from({ length: count }, async () => {
      const session = await openSession(query, url);
      await post(session, body);
      return session;
    }),
  );
}

test('sessions that never poll are closed by the heartbeat, and release their leases and rooms', async () => {
  await using quick = await fakeBridge(brief);
  await joined(50, quick.url);
  await expect.poll(() => quick.opened, { timeout: 10_000 }).toBe(0);
  await expect.poll(() => quick.leases.size).toBe(0);
  expect(quick.followers('conversation:12')).toBe(0);
  expect(quick.followers('user:7')).toBe(0);
});

test('a client that polls without reading responses is disconnected at its limit', async () => {
  const [session = ''] = await joined(1, fake.url);
  await expect.poll(() => fake.followers('conversation:12')).toBe(1);
  const target = new URL(session);
  const reader = connect(Number(target.port), target.hostname).on('error', () => {});
  reader.pause();
  reader.write(`GET ${target.pathname}${target.search} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const before = process.memoryUsage().external + process.memoryUsage().heapUsed;
  const text = 'x'.repeat(64 * 1024);
  for (let n = 0; n < 5_000 && fake.ends.length === 0; n += 1) {
    fake.publish(sent(`${n}${text}`));
    await new Promise(setImmediate);
  }
  expect(fake.ends).toEqual(['SLOW']);
  expect(process.memoryUsage().external + process.memoryUsage().heapUsed - before).toBeLessThan(
    100 * 1024 * 1024,
  );
  await expect.poll(() => fake.opened).toBe(1);
  reader.destroy();
});
