import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestGateway } from '../../src/testing/index.ts';
import { loadClient } from '../clients/load.ts';
import type { ClientVersion } from '../clients/load.ts';
import { startTestApp } from '../harness/app.ts';
import { BINARY, openPollingSession } from '../harness/engine-io.ts';
import { connectRawConnection, readPacketsUntil, openRawConnection } from '../harness/raw-connection.ts';
import type { Protocol, RawFrame, TransportName } from '../harness/raw-connection.ts';
import { expectNoUnhandledErrors } from '../harness/unhandled-errors.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';

// Input that no client should send may close its own connection, but no other, and not the process.

let app: TestGateway;
let otherClient: PacketSocket;

beforeAll(async () => {
  app = await startTestApp();
  otherClient = await openPacketSocket(app.url, 4);
});

afterAll(async () => {
  await otherClient[Symbol.asyncDispose]();
  await app[Symbol.asyncDispose]();
});

expectNoUnhandledErrors();

const STUN = '42["webrtc_config",[{"domain":"webrtc.neo.ovh","ip":"","port":3478}]]';
const UNKNOWN_SESSION = 'closed 400 {"code":1,"message":"Session ID unknown"}';
const invalidNamespace = (namespace: string) => `44/${namespace},{"message":"Invalid namespace"}`;

/** Expects that another client still gets a reply. */
async function expectOtherClientServed(): Promise<void> {
  const packets = await otherClient.request('webrtc_stun_info');
  // The server may ping in between.
  expect(packets.filter((packet) => packet !== '2')).toEqual([STUN]);
}

const VARIANTS: readonly (readonly [TransportName, Protocol])[] = [
  ['websocket', 3],
  ['websocket', 4],
  ['polling', 3],
  ['polling', 4],
];
const forEveryVariant = <Row>(rows: readonly Row[]) =>
  rows.flatMap((row) => VARIANTS.map(([transport, protocol]) => ({ row, transport, protocol })));
const titleOf = (frames: readonly RawFrame[]) =>
  frames
    .map((frame) => (typeof frame === 'string' ? frame.slice(0, 60) : `<${frame.toString('hex')}>`))
    .join(' ');
const placeholder = '{"_placeholder":true,"num":0}';
const deepArray = `${'['.repeat(2_000)}${']'.repeat(2_000)}`;

/** Frames and their replies. The connection stays open. */
const validFrames: readonly (readonly [readonly RawFrame[], readonly string[]])[] = [
  // Names that Socket.IO reserves since 3.0 were unknown channels before.
  [['42["connect"]'], []],
  [['42["connect_error","x"]'], []],
  [['42["disconnecting"]'], []],
  [['42["newListener","x"]'], []],
  [['421["removeListener"]'], ['431[]']],
  [['42["error","x"]'], []],
  [['42["unknown"]', '422["unknown"]'], ['432[]']],
  [['42["__proto__",{}]'], []],
  [['42["constructor"]', '42["toString"]'], []],
  [['42["authenticate"]'], ['42["error","Json web token introuvable"]']],
  [['42["authenticate",null]'], ['42["error","Json web token introuvable"]']],
  [['42["authenticate","text"]'], ['42["error","Json web token introuvable"]']],
  [['42["authenticate",7]'], ['42["error","Json web token introuvable"]']],
  [['42["authenticate",["x"]]'], ['42["error","Json web token introuvable"]']],
  [['42["authenticate","{\\"token\\":\\"x\\"}"]'], ['42["error","User not found"]']],
  [['42["authenticate",{"token":"x"},{},7]'], ['42["error","User not found"]']],
  [['42["authenticate",{"token":{"a":1}}]'], ['42["error","User not found"]']],
  [['42["authenticate",{"__proto__":{"token":"x"}}]'], ['42["error","Json web token introuvable"]']],
  [
    [`42["join_circle",${deepArray}]`],
    ['42["error","Socket user introuvable, vous devez vous authentifier"]'],
  ],
  [['42[7,"x"]', '423[7]'], ['433[]']],
  [['42', '424'], ['434[]']],
  [['42999999999999999999999["x"]'], ['431e+21[]']],
  [[`425["x",${placeholder}]`], ['435[]']],
  [['431["x"]', '43["x"]'], []],
  [['40/other,'], [invalidNamespace('other')]],
  [['40/other,{"a":1}'], [invalidNamespace('other')]],
  [['0', '5', '6'], []],
];

test.for(forEveryVariant(validFrames).map((variant) => ({ ...variant, frames: titleOf(variant.row[0]) })))(
  '$frames over $transport of protocol $protocol is served',
  async ({ row: [frames, replies], transport, protocol }) => {
    await using connection = await connectRawConnection(app.url, protocol, transport);
    expect(await connection.send(...frames, '42999["after"]')).toBe('ok');
    expect(await readPacketsUntil(connection, '43999[]')).toEqual([...replies, '43999[]']);
    await expectOtherClientServed();
  },
);

/** Frames that disconnect the client from the namespace. Its Engine.IO connection stays open. */
const disconnectFrames: readonly (readonly [readonly RawFrame[], readonly string[]])[] = [
  [['42["disconnect"]'], ['41']],
  [['42["disconnect",{"a":1}]', '42["webrtc_stun_info"]'], ['41']],
  [['421["disconnect"]'], ['431[]', '41']],
  [['41'], []],
];

test.for(
  forEveryVariant(disconnectFrames).map((variant) => ({ ...variant, frames: titleOf(variant.row[0]) })),
)(
  '$frames over $transport of protocol $protocol leaves the namespace, and can connect to it again',
  async ({ row: [frames, replies], transport, protocol }) => {
    await using connection = await connectRawConnection(app.url, protocol, transport);
    expect(await connection.send(...frames)).toBe('ok');
    for (const reply of replies) expect(await connection.next()).toBe(reply);
    await connection.send('40/other,');
    expect(await connection.next()).toBe(invalidNamespace('other'));
    await connection.send('40');
    expect(await connection.next()).toMatch(protocol === 3 ? /^40$/ : /^40\{"sid":"[\w-]{20}"\}$/);
    await connection.send('42["webrtc_stun_info"]');
    expect(await connection.next()).toBe(STUN);
    await expectOtherClientServed();
  },
);

/** Frames that the Socket.IO server cannot decode. */
const malformedFrames: readonly (readonly RawFrame[])[] = [
  ['4'],
  ['49'],
  ['4hello'],
  ['42[]'],
  ['42{}'],
  ['42[null]'],
  ['42["x"'],
  ['42["x"]x'],
  ['42abc["x"]'],
  ['42-1["x"]'],
  ['421.5["x"]'],
  ['42[ "disconnect"]'],
  [`42${'['.repeat(100_000)}`],
  ['44'],
  ['44{"message":"x"}'],
  ['45'],
  ['450-["x"]'],
  ['459999999-["x"]'],
  [`451-["x",${placeholder}]`, '42["x"]'],
  ['451-["x",{"_placeholder":true,"num":7}]', Buffer.from([4, 1])],
  [`451-["disconnect",${placeholder}]`, Buffer.from([4, 1])],
  [`451-["x",${placeholder},${placeholder}]`, Buffer.from([4, 1])],
  [Buffer.from([4, 1, 2, 3])],
  ['42/other,["x"]'],
  ['41/other,'],
];

test.for(forEveryVariant(malformedFrames).map((variant) => ({ ...variant, frames: titleOf(variant.row) })))(
  '$frames over $transport of protocol $protocol ends the connection that sent it, and no other',
  async ({ row: frames, transport, protocol }) => {
    await using connection = await connectRawConnection(app.url, protocol, transport);
    expect(await connection.send(...frames)).toBe('ok');
    expect(await readPacketsUntil(connection, 'never')).toEqual(
      transport === 'websocket' ? ['closed 1005'] : ['6', '1', UNKNOWN_SESSION],
    );
    await expectOtherClientServed();
  },
);

const connectFrames = ['40', '40/', '40/,', '40/?token=x', '40/?token=x,', '40{"token":"x"}'];

test.for(
  connectFrames.flatMap((frame) =>
    (['websocket', 'polling'] as const).map((transport) => [frame, transport] as const),
  ),
)(
  'a client of protocol 3 that sends CONNECT for its namespace, with %s over %s, stays connected',
  async ([frame, transport]) => {
    await using connection = await connectRawConnection(app.url, 3, transport);
    expect(await connection.send(frame, '42999["after"]')).toBe('ok');
    expect(await connection.next()).toBe('43999[]');
    await connection.send('41', '41', '40/other,');
    expect(await connection.next()).toBe(invalidNamespace('other'));
    await connection.send(frame);
    expect(await connection.next()).toMatch(/^40/);
    // A token in the query of the namespace counts as a token of the handshake, whose rejection is not sent on protocol 3.
    await connection.send('42["webrtc_stun_info"]');
    expect(await connection.next()).toBe(STUN);
  },
);

test.for(
  ['40', '40{"token":"x"}'].flatMap((frame) =>
    (['websocket', 'polling'] as const).map((transport) => [frame, transport] as const),
  ),
)('a second %s over %s of protocol 4 ends the connection', async ([frame, transport]) => {
  await using connection = await connectRawConnection(app.url, 4, transport);
  await connection.send(frame);
  expect((await readPacketsUntil(connection, 'never')).at(-1)).toMatch(/^closed/);
});

/** Packets that the Engine.IO server cannot decode, or that only a server may send. */
const invalidPackets = [
  ['hello', 3],
  ['hello', 4],
  ['', 4],
  ['7', 3],
  ['7', 4],
  ['\u0000', 3],
  ['\u0000', 4],
  ['3', 3],
  ['2', 4],
  ['2probe', 4],
] as const;

test.for(
  invalidPackets.flatMap(([packet, protocol]) =>
    (['websocket', 'polling'] as const).map((transport) => [packet, transport, protocol] as const),
  ),
)(
  'the packet %j over %s of protocol %i ends the connection that sent it, and no other',
  async ([packet, transport, protocol]) => {
    await using connection = await connectRawConnection(app.url, protocol, transport);
    expect(await connection.send(packet)).toBe('ok');
    expect(await readPacketsUntil(connection, 'never')).toEqual([
      transport === 'websocket' ? 'closed 1005' : UNKNOWN_SESSION,
    ]);
    await expectOtherClientServed();
  },
);

test.for([
  ['a payload without a length', 'EIO=3', 'hello', undefined],
  ['a payload shorter than its length', 'EIO=3', '9:42["x"]', undefined],
  ['a negative length', 'EIO=3', '-1:42["x"]', undefined],
  ['an empty payload', 'EIO=3', '', undefined],
  ['an empty payload', 'EIO=4', '', undefined],
  ['a binary payload without packets', 'EIO=3', Buffer.alloc(64, 255), BINARY],
  ['a binary payload with a malformed length', 'EIO=3', Buffer.from([0, 77, 255, 0x32]), BINARY],
  ['a binary payload shorter than its length', 'EIO=3', Buffer.from([0, 9, 255, 0x32]), BINARY],
] as const)('%s, with %s, ends its session', async ([, query, body, type]) => {
  const session = await openPollingSession(app.url, query);
  expect(await session.post(body, type)).toMatchObject({ status: 200, text: 'ok' });
  expect(await session.poll()).toMatchObject({ status: 400 });
  await expectOtherClientServed();
});

test('a binary payload with protocol 4 ends its session', async () => {
  const session = await openPollingSession(app.url, 'EIO=4');
  expect(await session.post(Buffer.from([0, 1, 255, 0x32]), BINARY)).toMatchObject({ status: 400 });
  expect(await session.poll()).toMatchObject({ status: 400 });
  await expectOtherClientServed();
});

test.for(['websocket', 'polling'] as const)(
  'events of protocol 3 over %s before the first response are served in order',
  async (transport) => {
    await using connection = await openRawConnection(app.url, 3, transport);
    await connection.send('42["webrtc_stun_info"]', '421["unknown"]');
    expect(await readPacketsUntil(connection, '431[]')).toEqual([
      expect.stringMatching(/^0\{"sid":"/),
      '40',
      STUN,
      '431[]',
    ]);
  },
);

test.for(['1.3.6', '2.5.0'] satisfies ClientVersion[])(
  'client %s does not send reserved event names',
  async (version) => {
    const socket = loadClient(version)(app.url, { forceNew: true, reconnection: false });
    await new Promise((resolve) => socket.once('connect', () => resolve(undefined)));
    for (const name of ['disconnect', 'connect', 'error', 'reconnect']) socket.on(name, () => {});
    for (const name of ['disconnect', 'connect', 'error', 'reconnect']) socket.emit(name, 'x');
    const reply = new Promise((resolve) => socket.once('webrtc_config', resolve));
    socket.emit('webrtc_stun_info');
    expect(await reply).toEqual([{ domain: 'webrtc.neo.ovh', ip: '', port: 3478 }]);
    socket.close();
  },
);
