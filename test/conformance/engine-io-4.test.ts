import { afterAll, beforeAll, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import type { TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import {
  BINARY,
  encodePayload,
  openPollingSession,
  decodeHandshake,
  readUpgradeError,
} from '../harness/engine-io.ts';
import type { PollingSession } from '../harness/engine-io.ts';
import { connectRawConnection, readPacketsUntil, openRawConnection } from '../harness/raw-connection.ts';

// Engine.IO protocol 4, of clients 3.0 and later: the server pings.

let app: TestGateway;
/** A gateway with a short ping interval. */
let shortIntervalApp: TestGateway;
/** A gateway with a short ping interval and timeout. */
let shortTimeoutApp: TestGateway;

beforeAll(async () => {
  app = await startTestApp();
  shortIntervalApp = await startTestApp({ legacyLimits: { pingIntervalMs: 50 } });
  shortTimeoutApp = await startTestApp({ legacyLimits: { pingIntervalMs: 100, pingTimeoutMs: 100 } });
});

afterAll(async () => {
  await shortTimeoutApp[Symbol.asyncDispose]();
  await shortIntervalApp[Symbol.asyncDispose]();
  await app[Symbol.asyncDispose]();
});

const REQUEST = '42["webrtc_stun_info"]';
const REPLY = '42["webrtc_config",[{"domain":"webrtc.neo.ovh","ip":"","port":3478}]]';
const UNKNOWN_SESSION = { status: 400, text: '{"code":1,"message":"Session ID unknown"}' };

const expectedHandshake = (upgrades: readonly string[]) => ({
  sid: expect.stringMatching(/^[\w-]{20}$/),
  upgrades,
  pingInterval: 25_000,
  pingTimeout: 60_000,
  maxPayload: 5 * 1024 * 1024,
});

/** Opens a session, and connects it to the namespace `/`. */
async function connectSession(): Promise<PollingSession> {
  const session = await openPollingSession(app.url, 'EIO=4');
  await session.post('40');
  expect((await session.poll()).text).toMatch(/^40\{"sid":"[\w-]{20}"\}$/);
  return session;
}

const nextMessage = (socket: WebSocket) =>
  new Promise<string>((resolve) => {
    socket.once('message', (data: Buffer) => resolve(data.toString()));
  });

/** Connects a session, and upgrades it to a WebSocket. */
async function upgradeSession(): Promise<{ session: PollingSession; socket: WebSocket }> {
  const session = await connectSession();
  const socket = await session.openSocket();
  socket.send('2probe');
  expect(await nextMessage(socket)).toBe('3probe');
  const reply = nextMessage(socket);
  socket.send('5');
  // A reply over the WebSocket shows that the server has completed the upgrade.
  socket.send('421["unknown"]');
  expect(await reply).toBe('431[]');
  return { session, socket };
}

async function expectReply(socket: WebSocket): Promise<void> {
  const reply = nextMessage(socket);
  socket.send(REQUEST);
  expect(await reply).toBe(REPLY);
  socket.terminate();
}

test('handshake: polling opens a session and offers the WebSocket', async () => {
  const { handshake } = await openPollingSession(app.url, 'EIO=4');
  expect(handshake).toMatchObject({ status: 200, type: 'text/plain; charset=UTF-8' });
  expect(decodeHandshake(handshake.text)).toEqual(expectedHandshake(['websocket']));
});

test('handshake: a WebSocket opens a session, with nothing to upgrade to', async () => {
  await using connection = await openRawConnection(app.url, 4, 'websocket');
  expect(decodeHandshake(await connection.next())).toEqual(expectedHandshake([]));
});

test('handshake: any protocol other than 4 is served as protocol 3', async () => {
  // The protocol requires that they are rejected, but the iOS app sends no EIO at all.
  for (const query of ['', 'EIO=5', 'EIO=abc']) {
    const { handshake } = await openPollingSession(app.url, query);
    expect(handshake.text).toMatch(/^\d+:0\{"sid":/);
  }
});

test.for(['EIO=4', 'EIO=4&transport=abc', 'EIO=4&transport=webtransport'])(
  'handshake: the transport of %s is rejected',
  async (query) => {
    const response = await fetch(`${app.url}/socket.io/?${query}`);
    expect(response.status).toBe(400);
    expect(await response.text()).toBe('{"code":0,"message":"Transport unknown"}');
    expect(await readUpgradeError(app.url, query)).toBe('400 Transport unknown');
  },
);

test.for(['POST', 'PUT', 'DELETE'])('handshake: %s opens no session', async (method) => {
  const response = await fetch(`${app.url}/socket.io/?EIO=4&transport=polling`, { method });
  expect(response.status).toBe(400);
  expect(await response.text()).toBe('{"code":2,"message":"Bad handshake method"}');
});

test('handshake: an unknown session is rejected', async () => {
  const response = await fetch(`${app.url}/socket.io/?EIO=4&transport=polling&sid=abc`);
  expect({ status: response.status, text: await response.text() }).toEqual(UNKNOWN_SESSION);
  expect(await readUpgradeError(app.url, 'EIO=4&transport=websocket&sid=abc')).toBe('400 Session ID unknown');
});

test('handshake: a session keeps its protocol', async () => {
  const { sid } = await connectSession();
  const response = await fetch(`${app.url}/socket.io/?EIO=3&transport=polling&sid=${sid}`);
  expect(response.status).toBe(400);
  expect(await response.text()).toBe('{"code":3,"message":"Bad request"}');
});

test('message, polling: a payload of one packet gets a response of one packet', async () => {
  const session = await connectSession();
  expect(await session.post(REQUEST)).toMatchObject({ status: 200, type: 'text/html', text: 'ok' });
  expect(await session.poll()).toMatchObject({ status: 200, text: REPLY });
});

test('message, polling: the packets of a payload get replies in order', async () => {
  await using connection = await connectRawConnection(app.url, 4, 'polling');
  await connection.send('421["a"]', '422["b"]', '423["c"]');
  expect(await readPacketsUntil(connection, '433[]')).toEqual(['431[]', '432[]', '433[]']);
});

test('message, polling: a binary packet is sent with its event, in base64', async () => {
  const session = await connectSession();
  const event = '451-7["unknown",{"_placeholder":true,"num":0}]';
  expect((await session.post(encodePayload([event, 'bAQIDBA==']))).text).toBe('ok');
  expect((await session.poll()).text).toBe('437[]');
});

test('message, polling: a binary payload is rejected and ends the session', async () => {
  const session = await connectSession();
  expect((await session.post(Buffer.from([0, 1, 255, 0x36]), BINARY)).status).toBe(400);
  expect(await session.poll()).toMatchObject(UNKNOWN_SESSION);
});

test('message, polling: a malformed payload closes the session', async () => {
  const session = await connectSession();
  await session.post('abc');
  expect(await session.poll()).toMatchObject(UNKNOWN_SESSION);
});

test('message, polling: a concurrent second poll closes the session', async () => {
  const session = await connectSession();
  const [first, second] = await Promise.all([session.poll(), session.poll()]);
  expect([first, second].map(({ status, text }) => `${status} ${text}`).toSorted()).toEqual([
    '200 1',
    '400 ',
  ]);
  expect(await session.poll()).toMatchObject(UNKNOWN_SESSION);
});

test('message, polling: an aborted poll closes the session', async () => {
  const session = await connectSession();
  const url = `${app.url}/socket.io/?EIO=4&transport=polling&sid=${session.sid}`;
  // The client cannot know when a poll has arrived: several may be aborted before one has.
  await expect
    .poll(async () => {
      const controller = new AbortController();
      const poll = fetch(url, { signal: controller.signal }).catch(() => undefined);
      const { status } = await session.post('6');
      controller.abort();
      await poll;
      return status;
    })
    .toBe(400);
});

test('message, WebSocket: a packet gets a reply', async () => {
  await using connection = await connectRawConnection(app.url, 4, 'websocket');
  await connection.send(REQUEST);
  expect(await connection.next()).toBe(REPLY);
});

test('message, WebSocket: a binary frame is a message, without a type', async () => {
  await using connection = await connectRawConnection(app.url, 4, 'websocket');
  await connection.send('451-7["unknown",{"_placeholder":true,"num":0}]', Buffer.from([1, 2, 3, 4]));
  expect(await connection.next()).toBe('437[]');
});

test('message, WebSocket: a malformed packet closes the session', async () => {
  await using connection = await connectRawConnection(app.url, 4, 'websocket');
  await connection.send('abc');
  expect(await connection.next()).toBe('closed 1005');
});

test.for(['polling', 'websocket'] as const)(
  'heartbeat, %s: the server pings, and pings again after the pong',
  async (transport) => {
    await using connection = await openRawConnection(shortIntervalApp.url, 4, transport);
    decodeHandshake(await connection.next());
    for (let n = 0; n < 3; n += 1) {
      expect(await connection.next()).toBe('2');
      await connection.send('3');
    }
  },
);

test('heartbeat, polling: a session whose client sends no pong is closed', async () => {
  const session = await openPollingSession(shortTimeoutApp.url, 'EIO=4');
  expect((await session.poll()).text).toBe('2');
  await expect.poll(async () => (await session.post('6')).status).toBe(400);
  expect(await session.poll()).toMatchObject(UNKNOWN_SESSION);
});

test('heartbeat, WebSocket: a session whose client sends no pong is closed', async () => {
  await using connection = await openRawConnection(shortTimeoutApp.url, 4, 'websocket');
  expect((await readPacketsUntil(connection, 'never')).slice(1)).toEqual(['2', 'closed 1005']);
});

test('close, polling: the session is closed, and the pending poll gets a response', async () => {
  const session = await connectSession();
  const poll = session.poll();
  await session.post('1');
  const { status, text } = await poll;
  // Depends on which of the two requests arrives first.
  expect(['200 6', `400 ${UNKNOWN_SESSION.text}`]).toContain(`${status} ${text}`);
  expect(await session.poll()).toMatchObject(UNKNOWN_SESSION);
});

test('close, WebSocket: the session is closed', async () => {
  await using connection = await connectRawConnection(app.url, 4, 'websocket');
  await connection.send('1');
  expect(await connection.next()).toBe('closed 1005');
});

test('upgrade: a WebSocket takes over from polling', async () => {
  const session = await connectSession();
  const socket = await session.openSocket();
  const probeReply = nextMessage(socket);
  socket.send('2probe');
  expect(await probeReply).toBe('3probe');
  // Completes the poll, so that nothing is in flight on it.
  expect((await session.poll()).text).toBe('6');
  socket.send('5');
  await expectReply(socket);
});

test('upgrade: events sent over polling before the upgrade get their replies over the WebSocket', async () => {
  const session = await connectSession();
  const socket = await session.openSocket();
  const probeReply = nextMessage(socket);
  socket.send('2probe');
  await probeReply;
  expect((await session.poll()).text).toBe('6');
  await session.post(REQUEST);
  const reply = nextMessage(socket);
  socket.send('5');
  expect(await reply).toBe(REPLY);
  socket.terminate();
});

test('upgrade: later polling requests of the session are rejected', async () => {
  const { session, socket } = await upgradeSession();
  expect(await session.poll()).toMatchObject({ status: 400, text: '{"code":3,"message":"Bad request"}' });
  await expectReply(socket);
});

test('upgrade: another WebSocket of the session is closed', async () => {
  const { session, socket } = await upgradeSession();
  const second = await session.openSocket();
  const code = await new Promise((resolve) => second.once('close', resolve));
  expect(code).toBe(1005);
  await expectReply(socket);
});

test('upgrade: a WebSocket with a malformed probe is closed, and polling continues', async () => {
  const session = await connectSession();
  const socket = await session.openSocket();
  socket.send(REQUEST);
  await new Promise((resolve) => socket.once('close', resolve));
  await session.post(REQUEST);
  expect((await session.poll()).text).toBe(REPLY);
});
