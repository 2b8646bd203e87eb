import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { openPollingSession } from '../harness/engine-io.ts';
import { connectRawConnection, readPacketsUntil, openRawConnection } from '../harness/raw-connection.ts';
import type { RawConnection } from '../harness/raw-connection.ts';

// Socket.IO protocol 5, on Engine.IO 4: the client requests a namespace, and receives an id for it.

let app: TestGateway;

beforeAll(async () => {
  app = await startTestApp();
});

afterAll(async () => {
  await app[Symbol.asyncDispose]();
});

const STUN = '42["webrtc_config",[{"domain":"webrtc.neo.ovh","ip":"","port":3478}]]';
const CONNECT_REPLY = /^40\{"sid":"[\w-]{20}"\}$/;

/** Opens a WebSocket, without connecting to a namespace. */
async function openConnection(): Promise<RawConnection> {
  const connection = await openRawConnection(app.url, 4, 'websocket');
  await connection.next();
  return connection;
}

const connectNamespace = (): Promise<RawConnection> => connectRawConnection(app.url, 4, 'websocket');

test.for(['40', '40{"token":"123"}', '40{}'])('connect: %s gets an id', async (packet) => {
  await using connection = await openConnection();
  await connection.send(packet);
  expect(await connection.next()).toMatch(CONNECT_REPLY);
});

test('connect: the id differs from that of the transport, which only the client knows', async () => {
  const session = await openPollingSession(app.url, 'EIO=4');
  await session.post('40');
  expect((await session.poll()).text).not.toContain(session.sid);
});

test('connect: a token in its payload counts as an `authenticate` sent first', async () => {
  await using connection = await openConnection();
  const account = await app.createAccount();
  await connection.send(`40${JSON.stringify({ token: account.token })}`);
  expect(await connection.next()).toMatch(CONNECT_REPLY);
  expect(await connection.next()).toBe('42["success","User authenticated"]');
  await connection.send('42["webrtc_credentials"]');
  expect(await connection.next()).toMatch(/^42\["webrtc_config",\{"username"/);
});

test('connect: a bad token in its payload is rejected, and the app may still authenticate', async () => {
  await using connection = await openConnection();
  const account = await app.createAccount();
  await connection.send('40{"token":"stale"}');
  expect(await connection.next()).toMatch(CONNECT_REPLY);
  expect(await connection.next()).toBe('42["error","User not found"]');
  await connection.send(`42["authenticate",${JSON.stringify({ token: account.token })}]`);
  expect(await connection.next()).toBe('42["success","User authenticated"]');
});

test.for(['40/custom,', '40/random', '40/custom,{"token":"abc"}', '40/circle?x=1,'])(
  'connect: %s is rejected, because / is the only namespace',
  async (packet) => {
    await using connection = await openConnection();
    await connection.send(packet);
    const namespace = /\/[^,]*/.exec(packet)?.[0];
    expect(await connection.next()).toBe(`44${namespace},{"message":"Invalid namespace"}`);
    await connection.send('40');
    expect(await connection.next()).toMatch(CONNECT_REPLY);
  },
);

test('connect: a second CONNECT ends the connection', async () => {
  await using connection = await connectNamespace();
  await connection.send('40');
  expect(await connection.next()).toBe('closed 1005');
});

test.for(['4abc', '42["unknown"]', '43["x"]', '41'])(
  'connect: %s as the first packet ends the connection',
  async (packet) => {
    await using connection = await openConnection();
    await connection.send(packet);
    expect(await connection.next()).toBe('closed 1005');
  },
);

test('disconnect: 41 leaves the namespace, and the connection stays open', async () => {
  await using connection = await connectNamespace();
  await connection.send('41');
  await connection.send('40/other');
  expect(await connection.next()).toBe('44/other,{"message":"Invalid namespace"}');
  await connection.send('40');
  expect(await connection.next()).toMatch(CONNECT_REPLY);
});

test('disconnect: the server sends 41 when a session ends, and then closes', async () => {
  await using connection = await connectNamespace();
  const account = await app.createAccount();
  await connection.send(`42["authenticate",${JSON.stringify({ token: account.token })}]`);
  expect(await connection.next()).toBe('42["success","User authenticated"]');
  await account.graphql.run('mutation { logout }');
  expect(await readPacketsUntil(connection, 'never')).toEqual([
    '42["error","User not found"]',
    '41',
    'closed 1005',
  ]);
});

test.for(['websocket', 'polling'] as const)('event, %s: text is encoded in UTF-8 once', async (transport) => {
  await using connection = await connectRawConnection(app.url, 4, transport);
  const account = await app.createAccount();
  await connection.send(`42["authenticate",${JSON.stringify({ token: account.token })}]`);
  expect(await connection.next()).toBe('42["success","User authenticated"]');
  const payload = JSON.stringify({ email: account.login, message: ['é😀', 1, null, { 3: [true] }] });
  await connection.send(`42["webrtc_forward",${payload}]`);
  const signal = `{"sender_id":${account.legacyId},"is_device":false,"content":${payload}}`;
  expect(await readPacketsUntil(connection, '42["success","Message forwarded"]')).toEqual([
    `42["webrtc_forward",${signal}]`,
    `42["webrtc_config",${signal}]`,
    '42["success","Message forwarded"]',
  ]);
});

test('event: attachments follow it and replace their placeholders', async () => {
  await using connection = await connectNamespace();
  await connection.send(
    '452-["webrtc_stun_info",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
    Buffer.from([1, 2, 3]),
    Buffer.from([4, 5, 6]),
  );
  expect(await connection.next()).toBe(STUN);
});

test('event: a requested acknowledgement is empty, and follows the reply', async () => {
  await using connection = await connectNamespace();
  await connection.send('42456["webrtc_stun_info",1,"2",{"3":[false]}]');
  expect(await connection.next()).toBe(STUN);
  expect(await connection.next()).toBe('43456[]');
});

test('event: an acknowledgement may be requested with attachments too', async () => {
  await using connection = await connectNamespace();
  await connection.send('451-789["unknown",{"_placeholder":true,"num":0}]', Buffer.from([1]));
  expect(await connection.next()).toBe('43789[]');
});

test.for(['43456["x"]', '461-456[{"_placeholder":true,"num":0}]'])(
  'acknowledgement: %s, which was not requested, is ignored',
  async (packet) => {
    await using connection = await connectNamespace();
    await connection.send(packet, ...(packet.startsWith('46') ? [Buffer.from([1])] : []), '421["unknown"]');
    expect(await connection.next()).toBe('431[]');
  },
);

test.for(['4abc', '42{}', '42abc["unknown",1]', '452-["unknown"]'])(
  'the packet %s, or the one after it, is malformed and ends the connection',
  async (packet) => {
    await using connection = await connectNamespace();
    await connection.send(packet, '421["unknown"]');
    expect(await connection.next()).toBe('closed 1005');
  },
);
