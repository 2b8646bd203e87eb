import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestAccount, TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { openPollingSession, decodeTextPayload } from '../harness/engine-io.ts';
import { connectRawConnection, readPacketsUntil, openRawConnection } from '../harness/raw-connection.ts';
import type { RawConnection, TransportName } from '../harness/raw-connection.ts';

/*
 * Socket.IO protocol 4, on Engine.IO 3: clients 1.x and 2.x, and those in Java and Swift. A packet is
 *
 *   4 <type> [<attachments>-] [/<namespace>,] [<acknowledgement>] [<JSON>]
 *
 * where 4 is Engine.IO's message, and the type is 0 CONNECT, 1 DISCONNECT, 2 EVENT, 3 ACK, 4 ERROR, 5 BINARY_EVENT or
 * 6 BINARY_ACK. It differs from protocol 5: the server connects the namespace `/` without a request, CONNECT has no
 * body, and a namespace may have a query.
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
const INVALID_NAMESPACE = '{"message":"Invalid namespace"}';
const placeholder = (num: number) => `{"_placeholder":true,"num":${num}}`;

const transports = ['websocket', 'polling'] as const;
const connect = (transport: TransportName = 'websocket'): Promise<RawConnection> =>
  connectRawConnection(app.url, 3, transport);

async function login(transport: TransportName): Promise<RawConnection> {
  const connection = await connect(transport);
  await connection.send(`42["authenticate",${JSON.stringify({ token: account.token })}]`);
  expect(await connection.next()).toBe('42["success","User authenticated"]');
  return connection;
}

test('0 CONNECT, WebSocket: the namespace / is connected immediately, and confirmed without a body', async () => {
  await using connection = await openRawConnection(app.url, 3, 'websocket');
  expect(await connection.next()).toMatch(/^0\{"sid":/);
  expect(await connection.next()).toBe('40');
});

test('0 CONNECT, polling: the namespace / is confirmed in the first response after the handshake', async () => {
  const session = await openPollingSession(app.url, 'EIO=3&b64=1');
  expect(decodeTextPayload(session.handshake.text)).toEqual([expect.stringMatching(/^0\{"sid":/)]);
  expect((await session.poll()).text).toBe('2:40');
});

test('0 CONNECT: a client may send before it receives anything', async () => {
  await using connection = await openRawConnection(app.url, 3, 'polling');
  await connection.send('421["unknown"]');
  expect((await readPacketsUntil(connection, '431[]')).slice(1)).toEqual(['40', '431[]']);
});

test.for(['40', '40/', '40/?token=x'])(
  '0 CONNECT: %s, for the connected namespace, changes nothing',
  async (packet) => {
    await using connection = await connect();
    await connection.send(packet, '42["webrtc_stun_info"]');
    expect(await readPacketsUntil(connection, STUN)).toEqual([STUN]);
  },
);

test.for([
  ['40/other', '/other'],
  ['40/other,', '/other'],
  ['40/other?token=x', '/other'],
  ['40/other?token=x,', '/other'],
  ['40/other?token=x&a[]=1,{"b":2}', '/other'],
])(
  '4 ERROR: %s, for an unknown namespace, is rejected, and / stays connected',
  async ([packet = '', namespace]) => {
    await using connection = await connect();
    await connection.send(packet, '421["unknown"]');
    expect(await readPacketsUntil(connection, '431[]')).toEqual([
      `44${namespace},${INVALID_NAMESPACE}`,
      '431[]',
    ]);
  },
);

test.for(['44', '44"x"', '44{"message":"x"}'])(
  '4 ERROR: %s from a client ends the connection',
  async (packet) => {
    await using connection = await connect();
    await connection.send(packet);
    expect(await connection.next()).toBe('closed 1005');
  },
);

test('1 DISCONNECT from the client leaves the namespace, and the connection stays open', async () => {
  await using connection = await connect();
  await connection.send('41');
  await connection.send('2');
  expect(await connection.next()).toBe('3');
  await connection.send('40');
  expect(await connection.next()).toBe('40');
  await connection.send('42["webrtc_stun_info"]');
  expect(await connection.next()).toBe(STUN);
});

test.for(transports)(
  '1 DISCONNECT, %s: the server sends it when a session ends, and then closes',
  async (transport) => {
    const otherAccount = await app.createAccount();
    await using connection = await connect(transport);
    await connection.send(`42["authenticate",${JSON.stringify({ token: otherAccount.token })}]`);
    await connection.next();
    await otherAccount.graphql.run('mutation { logout }');
    expect((await readPacketsUntil(connection, 'never')).filter((packet) => packet.startsWith('4'))).toEqual([
      '42["error","User not found"]',
      '41',
    ]);
  },
);

test('2 EVENT: the documented request on the disconnect channel gets 1 DISCONNECT', async () => {
  await using connection = await connect();
  await connection.send('42["disconnect"]');
  expect(await connection.next()).toBe('41');
});

test.for(transports)('2 EVENT, %s: events get replies in order', async (transport) => {
  await using connection = await connect(transport);
  await connection.send(
    '42["webrtc_stun_info"]',
    '42["authenticate"]',
    '42["webrtc_turn_info",null]',
    '429["unknown"]',
  );
  expect(await readPacketsUntil(connection, '439[]')).toEqual([
    STUN,
    '42["error","Json web token introuvable"]',
    STUN,
    '439[]',
  ]);
});

test.for(transports)('2 EVENT, %s: text is sent as escaped ASCII', async (transport) => {
  await using connection = await login(transport);
  await connection.send(
    `42["webrtc_forward",{"email":"${account.login}","message":"\\u00e9\\u20ac\\ud83d\\ude00"}]`,
  );
  expect(await connection.next()).toBe(
    `42["webrtc_forward",{"sender_id":${account.legacyId},"is_device":false,"content":{"email":"${account.login}","message":"\\u00e9\\u20ac\\ud83d\\ude00"}}]`,
  );
});

test.for([
  ['42["webrtc_stun_info"]', []],
  ['420["webrtc_stun_info"]', ['430[]']],
  ['4217["webrtc_stun_info",{"a":1},2]', ['4317[]']],
  ['42/,7["webrtc_stun_info"]', ['437[]']],
  ['42/?token=x,7["webrtc_stun_info"]', ['437[]']],
] as const)(
  '3 ACK: %s gets its reply, and then the acknowledgements %j',
  async ([packet, acknowledgements]) => {
    await using connection = await connect();
    await connection.send(packet, '42999["unknown"]');
    expect(await readPacketsUntil(connection, '43999[]')).toEqual([STUN, ...acknowledgements, '43999[]']);
  },
);

test('3 ACK: a rejected event is acknowledged like any other', async () => {
  await using connection = await connect();
  await connection.send('421["message",{}]');
  expect(await readPacketsUntil(connection, '431[]')).toEqual([
    '42["error","Socket user introuvable"]',
    '431[]',
  ]);
});

test.for([['430[]'], ['4312["x",{"a":1}]'], [`461-0[${placeholder(0)}]`, Buffer.from([4, 1])]])(
  '3 ACK, 6 BINARY_ACK: %s from a client, which the server never requests, is ignored',
  async (frames) => {
    await using connection = await connect();
    await connection.send(...frames, '421["unknown"]');
    expect(await connection.next()).toBe('431[]');
  },
);

test.for(transports)(
  '5 BINARY_EVENT, %s: attachments follow, and the event runs after the last',
  async (transport) => {
    await using connection = await connect(transport);
    await connection.send(
      `452-["webrtc_stun_info",${placeholder(0)},{"deep":[${placeholder(1)}]}]`,
      Buffer.from([4, 1, 2, 3]),
      Buffer.from([4]),
      '421["unknown"]',
    );
    expect(await readPacketsUntil(connection, '431[]')).toEqual([STUN, '431[]']);
  },
);

test.for(transports)('5 BINARY_EVENT, %s: it may request an acknowledgement', async (transport) => {
  await using connection = await connect(transport);
  await connection.send(`451-12["unknown",${placeholder(0)}]`, Buffer.from([4, 255]));
  expect(await connection.next()).toBe('4312[]');
});

test.for([
  ['450-["unknown"]'],
  ['4511-["unknown"]'],
  ['45["unknown"]'],
  [`451-["unknown",${placeholder(1)}]`, Buffer.from([4, 1])],
  [`451-["unknown",${placeholder(0)}]`, '42["unknown"]'],
  [Buffer.from([4, 1])],
])('5 BINARY_EVENT: attachments that do not match their packet end the connection: %s', async (frames) => {
  await using connection = await connect();
  await connection.send(...frames);
  expect(await connection.next()).toBe('closed 1005');
});

test.for(['47', '48["x"]', '4x'])('%s has an unknown type, and ends the connection', async (packet) => {
  await using connection = await connect();
  await connection.send(packet);
  expect(await connection.next()).toBe('closed 1005');
});
