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

// What no client should send: it may close the sender's connection, but no other, and never the process.

let app: TestGateway;
let other: PacketSocket;

beforeAll(async () => {
  app = await startTestApp();
  other = await openPacketSocket(app.url, 4);
});

afterAll(async () => {
  await other[Symbol.asyncDispose]();
  await app[Symbol.asyncDispose]();
});

expectNoUnhandledErrors();

const STUN = '42["webrtc_config",[{"domain":"webrtc.neo.ovh","ip":"","port":3478}]]';
const GONE = 'closed 400 {"code":1,"message":"Session ID unknown"}';
const refused = (namespace: string) => `44/${namespace},{"message":"Invalid namespace"}`;

/** Another client is still served. */
async function othersAreServed(): Promise<void> {
  const packets = await other.request('webrtc_stun_info');
  // A ping of the server may come in between.
  expect(packets.filter((packet) => packet !== '2')).toEqual([STUN]);
}

const lines: readonly (readonly [TransportName, Protocol])[] = [
  ['websocket', 3],
  ['websocket', 4],
  ['polling', 3],
  ['polling', 4],
];
const everywhere = <Row>(rows: readonly Row[]) =>
  rows.flatMap((row) => lines.map(([transport, protocol]) => ({ row, transport, protocol })));
const shown = (frames: readonly RawFrame[]) =>
  frames
    .map((frame) => (typeof frame === 'string' ? frame.slice(0, 60) : `<${frame.toString('hex')}>`))
    .join(' ');
const placeholder = '{"_placeholder":true,"num":0}';
const deep = `${'['.repeat(2_000)}${']'.repeat(2_000)}`;

/** Frames and their replies; the connection stays open. */
const served: readonly (readonly [readonly RawFrame[], readonly string[]])[] = [
  // Names that Socket.IO keeps to itself since 3.0 were unknown channels before.
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
  [[`42["join_circle",${deep}]`], ['42["error","Socket user introuvable, vous devez vous authentifier"]']],
  [['42[7,"x"]', '423[7]'], ['433[]']],
  [['42', '424'], ['434[]']],
  [['42999999999999999999999["x"]'], ['431e+21[]']],
  [[`425["x",${placeholder}]`], ['435[]']],
  [['431["x"]', '43["x"]'], []],
  [['40/other,'], [refused('other')]],
  [['40/other,{"a":1}'], [refused('other')]],
  [['0', '5', '6'], []],
];

test.for(everywhere(served).map((one) => ({ ...one, frames: shown(one.row[0]) })))(
  '$frames over $transport of protocol $protocol is served',
  async ({ row: [frames, answers], transport, protocol }) => {
    await using line = await connectRawConnection(app.url, protocol, transport);
    expect(await line.send(...frames, '42999["after"]')).toBe('ok');
    expect(await readPacketsUntil(line, '43999[]')).toEqual([...answers, '43999[]']);
    await othersAreServed();
  },
);

/** Frames that disconnect the client from the namespace; its Engine.IO connection stays open. */
const leaving: readonly (readonly [readonly RawFrame[], readonly string[]])[] = [
  [['42["disconnect"]'], ['41']],
  [['42["disconnect",{"a":1}]', '42["webrtc_stun_info"]'], ['41']],
  [['421["disconnect"]'], ['431[]', '41']],
  [['41'], []],
];

test.for(everywhere(leaving).map((one) => ({ ...one, frames: shown(one.row[0]) })))(
  '$frames over $transport of protocol $protocol leaves, and can come back',
  async ({ row: [frames, answers], transport, protocol }) => {
    await using line = await connectRawConnection(app.url, protocol, transport);
    expect(await line.send(...frames)).toBe('ok');
    for (const answer of answers) expect(await line.next()).toBe(answer);
    await line.send('40/other,');
    expect(await line.next()).toBe(refused('other'));
    await line.send('40');
    expect(await line.next()).toMatch(protocol === 3 ? /^40$/ : /^40\{"sid":"[\w-]{20}"\}$/);
    await line.send('42["webrtc_stun_info"]');
    expect(await line.next()).toBe(STUN);
    await othersAreServed();
  },
);

/** What the Socket.IO server cannot read. */
const unreadable: readonly (readonly RawFrame[])[] = [
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

test.for(everywhere(unreadable).map((one) => ({ ...one, frames: shown(one.row) })))(
  '$frames over $transport of protocol $protocol ends the connection that sent it, and no other',
  async ({ row: frames, transport, protocol }) => {
    await using line = await connectRawConnection(app.url, protocol, transport);
    expect(await line.send(...frames)).toBe('ok');
    expect(await readPacketsUntil(line, 'never')).toEqual(
      transport === 'websocket' ? ['closed 1005'] : ['6', '1', GONE],
    );
    await othersAreServed();
  },
);

const again = ['40', '40/', '40/,', '40/?token=x', '40/?token=x,', '40{"token":"x"}'];

test.for(again.flatMap((frame) => (['websocket', 'polling'] as const).map((via) => [frame, via] as const)))(
  'a client of protocol 3 that sends CONNECT for its namespace, with %s over %s, stays connected',
  async ([frame, via]) => {
    await using line = await connectRawConnection(app.url, 3, via);
    expect(await line.send(frame, '42999["after"]')).toBe('ok');
    expect(await line.next()).toBe('43999[]');
    await line.send('41', '41', '40/other,');
    expect(await line.next()).toBe(refused('other'));
    await line.send(frame);
    expect(await line.next()).toMatch(/^40/);
    // A token in the query of the namespace counts as one of the handshake, whose refusal is not sent on protocol 3.
    await line.send('42["webrtc_stun_info"]');
    expect(await line.next()).toBe(STUN);
  },
);

test.for(
  ['40', '40{"token":"x"}'].flatMap((frame) =>
    (['websocket', 'polling'] as const).map((via) => [frame, via] as const),
  ),
)('a second %s over %s of protocol 4 ends the connection', async ([frame, via]) => {
  await using line = await connectRawConnection(app.url, 4, via);
  await line.send(frame);
  expect((await readPacketsUntil(line, 'never')).at(-1)).toMatch(/^closed/);
});

/** What the Engine.IO server cannot read, or may not come from that side. */
const misdirected = [
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
  misdirected.flatMap(([packet, protocol]) =>
    (['websocket', 'polling'] as const).map((transport) => [packet, transport, protocol] as const),
  ),
)(
  'the packet %j over %s of protocol %i ends the connection that sent it, and no other',
  async ([packet, transport, protocol]) => {
    await using line = await connectRawConnection(app.url, protocol, transport);
    expect(await line.send(packet)).toBe('ok');
    expect(await readPacketsUntil(line, 'never')).toEqual([transport === 'websocket' ? 'closed 1005' : GONE]);
    await othersAreServed();
  },
);

test.for([
  ['a payload without a length', 'EIO=3', 'hello', undefined],
  ['a payload that is shorter than it says', 'EIO=3', '9:42["x"]', undefined],
  ['a negative length', 'EIO=3', '-1:42["x"]', undefined],
  ['an empty payload', 'EIO=3', '', undefined],
  ['an empty payload', 'EIO=4', '', undefined],
  ['a binary payload of no packets', 'EIO=3', Buffer.alloc(64, 255), BINARY],
  ['a binary payload with a length that is none', 'EIO=3', Buffer.from([0, 77, 255, 0x32]), BINARY],
  ['a binary payload that is shorter than it says', 'EIO=3', Buffer.from([0, 9, 255, 0x32]), BINARY],
] as const)('%s, with %s, ends its session', async ([, query, body, type]) => {
  const session = await openPollingSession(app.url, query);
  expect(await session.post(body, type)).toMatchObject({ status: 200, text: 'ok' });
  expect(await session.poll()).toMatchObject({ status: 400 });
  await othersAreServed();
});

test('a binary payload with protocol 4 ends its session', async () => {
  const session = await openPollingSession(app.url, 'EIO=4');
  expect(await session.post(Buffer.from([0, 1, 255, 0x32]), BINARY)).toMatchObject({ status: 400 });
  expect(await session.poll()).toMatchObject({ status: 400 });
  await othersAreServed();
});

test.for(['websocket', 'polling'] as const)(
  'events of protocol 3 over %s before the first response are served in order',
  async (transport) => {
    await using line = await openRawConnection(app.url, 3, transport);
    await line.send('42["webrtc_stun_info"]', '421["unknown"]');
    expect(await readPacketsUntil(line, '431[]')).toEqual([
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
    const answered = new Promise((resolve) => socket.once('webrtc_config', resolve));
    socket.emit('webrtc_stun_info');
    expect(await answered).toEqual([{ domain: 'webrtc.neo.ovh', ip: '', port: 3478 }]);
    socket.close();
  },
);
