import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { openPollingSession } from '../harness/engine-io.ts';
import { connectRawConnection, readPacketsUntil, openRawConnection } from '../harness/raw-connection.ts';
import type { RawConnection } from '../harness/raw-connection.ts';

// Socket.IO protocol 5, on Engine.IO 4: the client asks for a namespace, and is told the id that it has there.

let app: TestGateway;

beforeAll(async () => {
  app = await startTestApp();
});

afterAll(async () => {
  await app[Symbol.asyncDispose]();
});

const STUN = '42["webrtc_config",[{"domain":"webrtc.neo.ovh","ip":"","port":3478}]]';
const CONNECTED = /^40\{"sid":"[\w-]{20}"\}$/;

/** A WebSocket that has not asked for a namespace yet. */
async function open(): Promise<RawConnection> {
  const line = await openRawConnection(app.url, 4, 'websocket');
  await line.next();
  return line;
}

const connect = (): Promise<RawConnection> => connectRawConnection(app.url, 4, 'websocket');

test.for(['40', '40{"token":"123"}', '40{}'])('connect: %s is answered with an id', async (packet) => {
  await using line = await open();
  await line.send(packet);
  expect(await line.next()).toMatch(CONNECTED);
});

test('connect: the id is not that of the transport, which only the client knows', async () => {
  const session = await openPollingSession(app.url, 'EIO=4');
  await session.post('40');
  expect((await session.poll()).text).not.toContain(session.sid);
});

test('connect: a token in its payload counts as an `authenticate` sent first', async () => {
  await using line = await open();
  const account = await app.createAccount();
  await line.send(`40${JSON.stringify({ token: account.token })}`);
  expect(await line.next()).toMatch(CONNECTED);
  expect(await line.next()).toBe('42["success","User authenticated"]');
  await line.send('42["webrtc_credentials"]');
  expect(await line.next()).toMatch(/^42\["webrtc_config",\{"username"/);
});

test('connect: a bad token in its payload is refused, and the app may authenticate itself', async () => {
  await using line = await open();
  const account = await app.createAccount();
  await line.send('40{"token":"stale"}');
  expect(await line.next()).toMatch(CONNECTED);
  expect(await line.next()).toBe('42["error","User not found"]');
  await line.send(`42["authenticate",${JSON.stringify({ token: account.token })}]`);
  expect(await line.next()).toBe('42["success","User authenticated"]');
});

test.for(['40/custom,', '40/random', '40/custom,{"token":"abc"}', '40/circle?x=1,'])(
  'connect: %s is refused, as there is only the namespace /',
  async (packet) => {
    await using line = await open();
    await line.send(packet);
    const namespace = /\/[^,]*/.exec(packet)?.[0];
    expect(await line.next()).toBe(`44${namespace},{"message":"Invalid namespace"}`);
    await line.send('40');
    expect(await line.next()).toMatch(CONNECTED);
  },
);

test('connect: twice ends the connection', async () => {
  await using line = await connect();
  await line.send('40');
  expect(await line.next()).toBe('closed 1005');
});

test.for(['4abc', '42["unknown"]', '43["x"]', '41'])(
  'connect: %s instead ends the connection',
  async (packet) => {
    await using line = await open();
    await line.send(packet);
    expect(await line.next()).toBe('closed 1005');
  },
);

test('disconnect: 41 leaves the namespace, and the connection stays open', async () => {
  await using line = await connect();
  await line.send('41');
  await line.send('40/other');
  expect(await line.next()).toBe('44/other,{"message":"Invalid namespace"}');
  await line.send('40');
  expect(await line.next()).toMatch(CONNECTED);
});

test('disconnect: the server sends 41 when a session ends, and then closes', async () => {
  await using line = await connect();
  const account = await app.createAccount();
  await line.send(`42["authenticate",${JSON.stringify({ token: account.token })}]`);
  expect(await line.next()).toBe('42["success","User authenticated"]');
  await account.graphql.run('mutation { logout }');
  expect(await readPacketsUntil(line, 'never')).toEqual([
    '42["error","User not found"]',
    '41',
    'closed 1005',
  ]);
});

test.for(['websocket', 'polling'] as const)(
  'event, %s: a text is answered by a text, UTF-8 once',
  async (transport) => {
    await using line = await connectRawConnection(app.url, 4, transport);
    const account = await app.createAccount();
    await line.send(`42["authenticate",${JSON.stringify({ token: account.token })}]`);
    expect(await line.next()).toBe('42["success","User authenticated"]');
    const payload = JSON.stringify({ email: account.login, message: ['é😀', 1, null, { 3: [true] }] });
    await line.send(`42["webrtc_forward",${payload}]`);
    const forwarded = `{"sender_id":${account.legacyId},"is_device":false,"content":${payload}}`;
    expect(await readPacketsUntil(line, '42["success","Message forwarded"]')).toEqual([
      `42["webrtc_forward",${forwarded}]`,
      `42["webrtc_config",${forwarded}]`,
      '42["success","Message forwarded"]',
    ]);
  },
);

test('event: attachments follow it and replace their placeholders', async () => {
  await using line = await connect();
  await line.send(
    '452-["webrtc_stun_info",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
    Buffer.from([1, 2, 3]),
    Buffer.from([4, 5, 6]),
  );
  expect(await line.next()).toBe(STUN);
});

test('event: an acknowledgement that is asked for is empty, and comes after the answer', async () => {
  await using line = await connect();
  await line.send('42456["webrtc_stun_info",1,"2",{"3":[false]}]');
  expect(await line.next()).toBe(STUN);
  expect(await line.next()).toBe('43456[]');
});

test('event: an acknowledgement is asked for with attachments too', async () => {
  await using line = await connect();
  await line.send('451-789["unknown",{"_placeholder":true,"num":0}]', Buffer.from([1]));
  expect(await line.next()).toBe('43789[]');
});

test.for(['43456["x"]', '461-456[{"_placeholder":true,"num":0}]'])(
  'acknowledgement: %s, that was not requested, is ignored',
  async (packet) => {
    await using line = await connect();
    await line.send(packet, ...(packet.startsWith('46') ? [Buffer.from([1])] : []), '421["unknown"]');
    expect(await line.next()).toBe('431[]');
  },
);

test.for(['4abc', '42{}', '42abc["unknown",1]', '452-["unknown"]'])(
  'the packet %s, or what follows it, cannot be read and ends the connection',
  async (packet) => {
    await using line = await connect();
    await line.send(packet, '421["unknown"]');
    expect(await line.next()).toBe('closed 1005');
  },
);
