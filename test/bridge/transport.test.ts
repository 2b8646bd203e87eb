import type { Socket as EngineSocket } from 'engine.io';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { undoSecondUtf8 } from '../../src/bridge/engine-io/protocol-3-parser.ts';
import { loadClient } from '../clients/load.ts';
import type { ClientVersion } from '../clients/load.ts';
import { BINARY, encodeBinaryPayload, encodeTextPayload, openPollingSession } from '../harness/engine-io.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import { pause } from '../harness/waiting.ts';
import { startEchoServer } from './echo-server.ts';
import type { EchoServer } from './echo-server.ts';

const TEXT = 'é€😀\u2028 Ã©tat';

let server: EchoServer;

beforeEach(async () => {
  server = await startEchoServer();
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
});

const openSession = (query: string, headers?: Record<string, string>) =>
  openPollingSession(server.url, query, headers);

/** Returns text as a client sends it that encodes UTF-8 twice. */
const encodeTwice = (text: string): string => Buffer.from(text).toString('latin1');

test.for([
  ['the stamp of browsers up to 1.3', 'EIO=3&t=1416412345678-0', {}, 'application/octet-stream'],
  ['the stamp of 1.0, with EIO=2', 'EIO=2&t=1416412345678-3', {}, 'application/octet-stream'],
  ['no stamp, from a browser', 'EIO=3', { 'user-agent': 'Mozilla/5.0' }, 'application/octet-stream'],
  ['no stamp, from an app', 'EIO=3', { 'user-agent': 'okhttp/3' }, 'text/plain; charset=UTF-8'],
  [
    'the stamp of browsers since 1.4',
    'EIO=3&t=LWqdOs6',
    { 'user-agent': 'Mozilla/5.0' },
    'text/plain; charset=UTF-8',
  ],
  ['base64 requested', 'EIO=3&t=1416412345678-0&b64=1', {}, 'text/plain; charset=UTF-8'],
  ['JSONP', 'EIO=3&t=1416412345678-0&j=0', {}, 'text/javascript; charset=UTF-8'],
  ['no EIO, as from the iOS app', 'b64=1', {}, 'text/plain; charset=UTF-8'],
  ['protocol 4', 'EIO=4&t=1416412345678-0', { 'user-agent': 'Mozilla/5.0' }, 'text/plain; charset=UTF-8'],
] as const)('the response to a poll with %s', async ([, query, headers, type]) => {
  const { handshake } = await openSession(query, headers);
  expect(handshake.status).toBe(200);
  expect(handshake.type).toBe(type);
});

test('a binary polling response is length, 255, text', async () => {
  const { handshake, poll } = await openSession('EIO=3&t=1416412345678-0');
  expect(handshake.bytes.subarray(0, 6).toString('hex')).toMatch(/^000[0-9]0[0-9]/);
  expect((await poll()).bytes).toEqual(Buffer.from([0, 2, 0xff, 0x34, 0x30]));
  server.io.emit('message', { text: 'é' });
  const { bytes } = await poll();
  expect(bytes.toString('latin1')).toBe('\x00\x03\x01ÿ42["message",{"text":"\\u00e9"}]');
});

test('one broadcast is ASCII for protocol 3 and UTF-8 for protocol 4', async () => {
  const protocol3Client = await openSession('EIO=3&b64=1');
  const protocol4Client = await openSession('EIO=4');
  await protocol3Client.poll();
  await protocol4Client.post('40');
  await protocol4Client.poll();
  server.io.emit('message', { text: TEXT });
  const escaped = '42["message",{"text":"\\u00e9\\u20ac\\ud83d\\ude00\\u2028 \\u00c3\\u00a9tat"}]';
  expect((await protocol3Client.poll()).bytes.toString()).toBe(`${escaped.length}:${escaped}`);
  expect((await protocol4Client.poll()).bytes.toString()).toBe(`42["message",{"text":"${TEXT}"}]`);
});

test.for([10, 200, 70_000])(
  'a broadcast of %i characters reaches WebSockets of both protocols',
  async (length) => {
    const text = `é${'x'.repeat(length)}`;
    const received = [3, 4].map(async (protocol) => {
      const socket = new WebSocket(
        `${server.url.replace('http', 'ws')}/socket.io/?EIO=${protocol}&transport=websocket`,
      );
      if (protocol === 4) socket.once('message', () => socket.send('40'));
      return new Promise<string>((resolve) => {
        socket.on('message', (data: Buffer) => {
          if (data.toString().startsWith('42')) resolve(data.toString());
        });
      });
    });
    await expect.poll(() => server.io.sockets.sockets.size).toBe(2);
    server.io.emit('message', { text });
    expect(await Promise.all(received)).toEqual([
      `42["message",{"text":"\\u00e9${'x'.repeat(length)}"}]`,
      `42["message",{"text":"${text}"}]`,
    ]);
  },
);

test('an acknowledgement is empty', async () => {
  const { poll, post } = await openSession('EIO=3&b64=1');
  await poll();
  await post('10:427["odd"]');
  expect((await poll()).bytes.toString()).toBe('5:437[]');
});

test.for(['é', 'é€', 'Nächste 😀 Straße', 'plain'])(
  'text that a client encodes twice is decoded twice: %s',
  async (text) => {
    const { poll, post } = await openSession('EIO=3&b64=1');
    await poll();
    const packet = `42["message",{"text":"${encodeTwice(text)}"}]`;
    expect((await post(encodeTextPayload([packet]))).text).toBe('ok');
    const event = JSON.parse((await poll()).bytes.toString().replace(/^\d+:42/, '')) as unknown;
    expect(event).toEqual(['message', { text }]);
  },
);

test.for(['naïve', 'Œuvre é', '日本', 'Â'])(
  'text that a client encodes once is unchanged: %s',
  async (text) => {
    const { poll, post } = await openSession('EIO=3&b64=1');
    await poll();
    const packet = `42["message",{"text":"${text}"}]`;
    await post(encodeTextPayload([packet]));
    const event = JSON.parse((await poll()).bytes.toString().replace(/^\d+:42/, '')) as unknown;
    expect(event).toEqual(['message', { text }]);
  },
);

test.for([
  ['a binary post', 'EIO=3', BINARY, (packet: string) => encodeBinaryPayload([packet])],
  ['protocol 4', 'EIO=4', undefined, (packet: string) => packet],
] as const)('%s is decoded once, even if it looks encoded twice', async ([, query, type, encode]) => {
  const { poll, post } = await openSession(query);
  if (query === 'EIO=4') await post('40');
  await poll();
  for (const text of ['é€😀', 'Ã©tat']) {
    expect((await post(encode(`42["message",{"text":"${text}"}]`), type)).text).toBe('ok');
    const event = JSON.parse((await poll()).text.replace(/^(\d+:)?42/, '')) as unknown;
    expect(event).toEqual(['message', { text }]);
  }
});

test.for([3, 4])('text on a WebSocket of protocol %i is unchanged', async (protocol) => {
  await using client = await openPacketSocket(server.url, protocol as 3 | 4);
  client.emit('message', 'Ã©tat');
  expect(await client.next()).toBe(
    protocol === 3 ? '42["message","\\u00c3\\u00a9tat"]' : '42["message","Ã©tat"]',
  );
});

test('a malformed binary post is one error, not a packet per byte', async () => {
  const types: string[] = [];
  server.io.engine.on('connection', (conn: EngineSocket) =>
    conn.on('packet', ({ type }: { type: string }) => types.push(type)),
  );
  const { post, poll } = await openSession('EIO=3');
  await post(Buffer.concat([Buffer.alloc(1_000, 255), encodeBinaryPayload(['6'])]), BINARY);
  expect((await poll()).status).toBe(400);
  expect(types).toEqual(['error']);
});

test('two packets of one post are separated by their lengths, whatever their encoding', async () => {
  const { poll, post } = await openSession('EIO=3&b64=1');
  await poll();
  const packets = [`42["message","${encodeTwice('é')}"]`, '42["message","naïve"]'];
  await post(encodeTextPayload(packets));
  expect((await poll()).bytes.toString()).toBe('22:42["message","\\u00e9"]26:42["message","na\\u00efve"]');
});

test('a JSONP client posts text encoded twice', async () => {
  const { sid } = await openSession('EIO=3&j=0&t=LWqdOs6');
  const url = `${server.url}/socket.io/?EIO=3&transport=polling&j=0&sid=${sid}`;
  await fetch(url);
  const packet = `42["message","${encodeTwice('é')}"]`;
  await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: `d=${encodeURIComponent(`${packet.length}:${packet}`)}`,
  });
  expect(await (await fetch(url)).text()).toBe('___eio[0]("22:42[\\"message\\",\\"\\\\u00e9\\"]");');
});

test('a second UTF-8 encoding is decoded only if the text has one', () => {
  expect(undoSecondUtf8('\u00c3\u00a9')).toBe('é');
  expect(undoSecondUtf8('\u00ef\u00bb\u00bfa')).toBe('\ufeffa');
  expect(undoSecondUtf8('\u00c3')).toBe('\u00c3');
  expect(undoSecondUtf8('\u00c3\u00a9€')).toBe('\u00c3\u00a9€');
});

const versions: readonly ClientVersion[] = [
  '1.0.6',
  '1.3.6',
  '1.4.8',
  '1.7.4',
  '2.0.4',
  '2.5.0',
  '3.1.3',
  '4.8.4',
];
const clientTransports = versions.flatMap((version) =>
  (['polling', 'websocket', 'upgrade'] as const).map((transport) => [version, transport] as const),
);

test.for(clientTransports)('client %s over %s exchanges any text', async ([version, transport]) => {
  // On WebSocket the server cannot distinguish 1.0 from 1.3, and 1.0 encodes text twice.
  const text = version === '1.0.6' && transport !== 'polling' ? 'plain' : TEXT;
  const transports = transport === 'upgrade' ? (['polling', 'websocket'] as const) : [transport];
  const socket = loadClient(version)(server.url, { transports, forceNew: true, reconnection: false });
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  socket.on('connect', () => socket.emit('message', { text }));
  socket.on('message', resolve);
  for (const event of ['connect_error', 'connect_timeout', 'error', 'disconnect']) socket.on(event, reject);
  expect(await promise).toEqual({ text });
  const broadcast = Promise.withResolvers<unknown>();
  socket.on('message', broadcast.resolve);
  server.io.emit('message', { text: TEXT });
  expect(await broadcast.promise).toEqual({ text: TEXT });
  socket.off('disconnect');
  socket.close();
});

test.for(['upgrade', 'websocket', 'polling'])(
  'a silent client of protocol 3 on %s is disconnected',
  async (transport) => {
    await using fastServer = await startEchoServer({ pingInterval: 100, pingTimeout: 150 });
    const disconnection = Promise.withResolvers<string>();
    fastServer.io.on('connection', (socket) => socket.on('disconnect', disconnection.resolve));
    const ws = fastServer.url.replace('http', 'ws');
    if (transport === 'websocket') {
      new WebSocket(`${ws}/socket.io/?EIO=3&transport=websocket`);
    } else {
      const handshake = await (
        await fetch(`${fastServer.url}/socket.io/?EIO=3&transport=polling&b64=1`)
      ).text();
      const sid = /"sid":"([^"]+)"/.exec(handshake)?.[1];
      if (transport === 'upgrade') {
        const socket = new WebSocket(`${ws}/socket.io/?EIO=3&transport=websocket&sid=${sid}`);
        socket.on('open', () => socket.send('2probe'));
        await new Promise((resolve) => {
          socket.once('message', resolve);
        });
        socket.send('5');
      }
    }
    expect(await disconnection.promise).toBe('ping timeout');
  },
);

test.for([3, 4])('a client of protocol %i that pings after its upgrade stays connected', async (protocol) => {
  await using fastServer = await startEchoServer({ pingInterval: 100, pingTimeout: 600 });
  const session = await openPollingSession(fastServer.url, `EIO=${protocol}`);
  const socket = await session.openSocket();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.on('close', () => reject(new Error('The client was disconnected as silent.')));
  let heartbeats = 0;
  socket.on('message', (data: Buffer) => {
    const packet = data.toString();
    if (packet === '3probe') socket.send('5');
    if (protocol === 3 && packet.startsWith('3')) void pause(100).then(() => socket.send('2'));
    if (packet === '2') socket.send('3');
    if (packet === '2' || packet === '3') heartbeats += 1;
    // Longer than the timeout of a silent client.
    if (heartbeats === 12) resolve();
  });
  socket.send('2probe');
  await promise;
  socket.terminate();
});

test.for([
  ['42["disconnect"]', '41'],
  ['42["disconnect",{"a":1}]', '41'],
  ['425["connect"]', '435[]'],
  ['426["newListener","x"]', '436[]'],
  ['427["message_\\"disconnect\\""]', '437[]'],
] as const)('the raw packet %s gets the reply %s, and the connection stays open', async ([packet, reply]) => {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/socket.io/?EIO=3&transport=websocket`);
  const packets: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.on('message', (data: Buffer) => {
    packets.push(data.toString());
    if (packets.length === 2) socket.send(packet);
    if (packets.length === 3) socket.send('2');
    if (packets.length === 4) resolve();
  });
  socket.on('close', reject);
  await promise;
  expect(packets.slice(1)).toEqual(['40', reply, '3']);
  socket.off('close', reject);
  socket.close();
});
