import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestAccount, TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { openPollingSession, decodeTextPayload } from '../harness/engine-io.ts';
import { connectRawConnection, readPacketsUntil, openRawConnection } from '../harness/raw-connection.ts';
import type { RawConnection, TransportName } from '../harness/raw-connection.ts';

/*
 * Socket.IO protocol 4, on Engine.IO 3: the clients 1.x and 2.x, and those in Java and Swift. A packet is
 *
 *   4 <type> [<attachments>-] [/<namespace>,] [<acknowledgement>] [<JSON>]
 *
 * where 4 is Engine.IO's message, and the type is 0 CONNECT, 1 DISCONNECT, 2 EVENT, 3 ACK, 4 ERROR, 5 BINARY_EVENT or
 * 6 BINARY_ACK. It differs from protocol 5 in that the namespace `/` is connected without being asked for, that CONNECT
 * has no body, and that a namespace may have a query.
 */

let app: TestGateway;
let account: TestAccount;

beforeAll(async () => {
  app = await startTestApp();
  account = await app.createAccount();
});

afterAll(async () => {
  await app[Symbol.asyncDispose]();
});

const STUN = '42["webrtc_config",[{"domain":"webrtc.neo.ovh","ip":"","port":3478}]]';
const REFUSED = '{"message":"Invalid namespace"}';
const placeholder = (num: number) => `{"_placeholder":true,"num":${num}}`;

const transports = ['websocket', 'polling'] as const;
const connect = (transport: TransportName = 'websocket'): Promise<RawConnection> =>
  connectRawConnection(app.url, 3, transport);

async function login(transport: TransportName): Promise<RawConnection> {
  const line = await connect(transport);
  await line.send(`42["authenticate",${JSON.stringify({ token: account.token })}]`);
  expect(await line.next()).toBe('42["success","User authenticated"]');
  return line;
}

test('0 CONNECT, WebSocket: the namespace / is connected immediately, and confirmed without a body', async () => {
  await using line = await openRawConnection(app.url, 3, 'websocket');
  expect(await line.next()).toMatch(/^0\{"sid":/);
  expect(await line.next()).toBe('40');
});

test('0 CONNECT, polling: the namespace / is confirmed in the first response after the handshake', async () => {
  const session = await openPollingSession(app.url, 'EIO=3&b64=1');
  expect(decodeTextPayload(session.handshake.text)).toEqual([expect.stringMatching(/^0\{"sid":/)]);
  expect((await session.poll()).text).toBe('2:40');
});

test('0 CONNECT: a client may send before it receives anything', async () => {
  await using line = await openRawConnection(app.url, 3, 'polling');
  await line.send('421["unknown"]');
  expect((await readPacketsUntil(line, '431[]')).slice(1)).toEqual(['40', '431[]']);
});

test.for(['40', '40/', '40/?token=x'])(
  '0 CONNECT: %s, for what is connected, changes nothing',
  async (packet) => {
    await using line = await connect();
    await line.send(packet, '42["webrtc_stun_info"]');
    expect(await readPacketsUntil(line, STUN)).toEqual([STUN]);
  },
);

test.for([
  ['40/other', '/other'],
  ['40/other,', '/other'],
  ['40/other?token=x', '/other'],
  ['40/other?token=x,', '/other'],
  ['40/other?token=x&a[]=1,{"b":2}', '/other'],
])('4 ERROR: %s names an unknown namespace, and / stays connected', async ([packet = '', namespace]) => {
  await using line = await connect();
  await line.send(packet, '421["unknown"]');
  expect(await readPacketsUntil(line, '431[]')).toEqual([`44${namespace},${REFUSED}`, '431[]']);
});

test.for(['44', '44"x"', '44{"message":"x"}'])(
  '4 ERROR: %s from a client ends the connection',
  async (packet) => {
    await using line = await connect();
    await line.send(packet);
    expect(await line.next()).toBe('closed 1005');
  },
);

test('1 DISCONNECT from the client leaves the namespace, and the connection stays open', async () => {
  await using line = await connect();
  await line.send('41');
  await line.send('2');
  expect(await line.next()).toBe('3');
  await line.send('40');
  expect(await line.next()).toBe('40');
  await line.send('42["webrtc_stun_info"]');
  expect(await line.next()).toBe(STUN);
});

test.for(transports)(
  '1 DISCONNECT, %s: the server says it when a session ends, and then closes',
  async (transport) => {
    const other = await app.createAccount();
    await using line = await connect(transport);
    await line.send(`42["authenticate",${JSON.stringify({ token: other.token })}]`);
    await line.next();
    await other.graphql.run('mutation { logout }');
    expect((await readPacketsUntil(line, 'never')).filter((packet) => packet.startsWith('4'))).toEqual([
      '42["error","User not found"]',
      '41',
    ]);
  },
);

test('2 EVENT: the documented request on the disconnect channel is answered by 1 DISCONNECT', async () => {
  await using line = await connect();
  await line.send('42["disconnect"]');
  expect(await line.next()).toBe('41');
});

test.for(transports)('2 EVENT, %s: events are answered in their order', async (transport) => {
  await using line = await connect(transport);
  await line.send(
    '42["webrtc_stun_info"]',
    '42["authenticate"]',
    '42["webrtc_turn_info",null]',
    '429["unknown"]',
  );
  expect(await readPacketsUntil(line, '439[]')).toEqual([
    STUN,
    '42["error","Json web token introuvable"]',
    STUN,
    '439[]',
  ]);
});

test.for(transports)('2 EVENT, %s: text is answered in ASCII, escaped', async (transport) => {
  await using line = await login(transport);
  await line.send(
    `42["webrtc_forward",{"email":"${account.login}","message":"\\u00e9\\u20ac\\ud83d\\ude00"}]`,
  );
  expect(await line.next()).toBe(
    `42["webrtc_forward",{"sender_id":${account.legacyId},"is_device":false,"content":{"email":"${account.login}","message":"\\u00e9\\u20ac\\ud83d\\ude00"}}]`,
  );
});

test.for([
  ['42["webrtc_stun_info"]', []],
  ['420["webrtc_stun_info"]', ['430[]']],
  ['4217["webrtc_stun_info",{"a":1},2]', ['4317[]']],
  ['42/,7["webrtc_stun_info"]', ['437[]']],
  ['42/?token=x,7["webrtc_stun_info"]', ['437[]']],
] as const)('3 ACK: %s is answered, and then acknowledged by %j', async ([packet, acknowledged]) => {
  await using line = await connect();
  await line.send(packet, '42999["unknown"]');
  expect(await readPacketsUntil(line, '43999[]')).toEqual([STUN, ...acknowledged, '43999[]']);
});

test('3 ACK: a refused event is acknowledged like any other', async () => {
  await using line = await connect();
  await line.send('421["message",{}]');
  expect(await readPacketsUntil(line, '431[]')).toEqual(['42["error","Socket user introuvable"]', '431[]']);
});

test.for([['430[]'], ['4312["x",{"a":1}]'], [`461-0[${placeholder(0)}]`, Buffer.from([4, 1])]])(
  '3 ACK, 6 BINARY_ACK: %s from a client, of which none is ever asked, is passed over',
  async (frames) => {
    await using line = await connect();
    await line.send(...frames, '421["unknown"]');
    expect(await line.next()).toBe('431[]');
  },
);

test.for(transports)(
  '5 BINARY_EVENT, %s: attachments follow, and the event runs after the last',
  async (transport) => {
    await using line = await connect(transport);
    await line.send(
      `452-["webrtc_stun_info",${placeholder(0)},{"deep":[${placeholder(1)}]}]`,
      Buffer.from([4, 1, 2, 3]),
      Buffer.from([4]),
      '421["unknown"]',
    );
    expect(await readPacketsUntil(line, '431[]')).toEqual([STUN, '431[]']);
  },
);

test.for(transports)('5 BINARY_EVENT, %s: it may ask for an acknowledgement', async (transport) => {
  await using line = await connect(transport);
  await line.send(`451-12["unknown",${placeholder(0)}]`, Buffer.from([4, 255]));
  expect(await line.next()).toBe('4312[]');
});

test.for([
  ['450-["unknown"]'],
  ['4511-["unknown"]'],
  ['45["unknown"]'],
  [`451-["unknown",${placeholder(1)}]`, Buffer.from([4, 1])],
  [`451-["unknown",${placeholder(0)}]`, '42["unknown"]'],
  [Buffer.from([4, 1])],
])('5 BINARY_EVENT: what has other attachments than it says ends the connection: %s', async (frames) => {
  await using line = await connect();
  await line.send(...frames);
  expect(await line.next()).toBe('closed 1005');
});

test.for(['47', '48["x"]', '4x'])('%s is of no type, and ends the connection', async (packet) => {
  await using line = await connect();
  await line.send(packet);
  expect(await line.next()).toBe('closed 1005');
});
