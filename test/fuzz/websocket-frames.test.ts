import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { draws } from './draw.ts';
import type { Draw } from './draw.ts';
import { TIMEOUT_MS, fuzz } from './fuzz.ts';
import { BUSY_TURNS, startFuzzServer } from './server.ts';
import type { FuzzServer } from './server.ts';

// Random frames of RFC 6455, cut into chunks anywhere, on both APIs of a server that parses all in later turns.

let server: FuzzServer;

beforeAll(async () => {
  server = await startFuzzServer({}, [BUSY_TURNS]);
});

afterAll(() => server[Symbol.asyncDispose]());

afterEach(() => server.expectHealthy());

const DOORS = [
  ['/graphql', 'Sec-WebSocket-Protocol: graphql-transport-ws\r\n'],
  ['/socket.io/?EIO=3&transport=websocket', ''],
  ['/socket.io/?EIO=4&transport=websocket', ''],
] as const;

const TEXTS = [
  '',
  'x',
  '2',
  '40',
  '42["webrtc_stun_info"]',
  '451-["message",{"_placeholder":true,"num":0}]',
  '{"type":"connection_init"}',
  '{"type":"subscribe","id":"1","payload":{"query":"{ __typename }"}}',
  'x'.repeat(125),
  'x'.repeat(40_000),
];

/** First bytes of frames, each with a flag of the end and an opcode; most are those of valid messages. */
const FIRST_BYTES = [
  0x81, 0x81, 0x81, 0x01, 0x01, 0x00, 0x00, 0x80, 0x80, 0x82, 0x02, 0x88, 0x89, 0x8a, 0x09, 0x83, 0xc1, 0xf0,
];

function drawBody(draw: Draw): Buffer {
  if (draw.oneIn(4)) return Buffer.from(Array.from({ length: draw.nat(20) }, () => draw.nat(255)));
  return Buffer.from(draw.pickFrom(TEXTS));
}

function drawFrame(draw: Draw): Buffer {
  const body = drawBody(draw);
  const length = draw.oneIn(12) ? draw.nat(100_000_000) : body.length;
  const mask = draw.oneIn(15) ? 0 : 0x80;
  const firstByte = draw.oneIn(20) ? draw.nat(255) : draw.pickFrom(FIRST_BYTES);
  const header = Buffer.alloc(14);
  header[0] = firstByte;
  let headerLength = 2;
  if (length < 126) header[1] = mask | length;
  else if (length < 65_536) {
    header[1] = mask | 126;
    headerLength = header.writeUInt16BE(length, 2);
  } else {
    header[1] = mask | 127;
    headerLength = header.writeBigUInt64BE(BigInt(length), 2);
  }
  const key = Buffer.alloc(mask === 0 ? 0 : 4, draw.nat(255));
  const masked = body.map((byte, index) => (mask === 0 ? byte : byte ^ (key[index % 4] ?? 0)));
  return Buffer.concat([header.subarray(0, headerLength), key, masked]);
}

/** Frames, among them many small ones of one message, in chunks. */
function drawChunks(draw: Draw): Buffer[] {
  const frames = Array.from({ length: 1 + draw.nat(11) }, () => drawFrame(draw));
  if (draw.oneIn(4)) {
    const fragment = Buffer.from([0x00, 0x81, 0, 0, 0, 0, 0x78]);
    frames.splice(draw.nat(frames.length), 0, ...Array.from({ length: draw.nat(3_000) }, () => fragment));
  }
  const bytes = Buffer.concat(frames);
  const cuts = Array.from({ length: draw.nat(6) }, () => draw.nat(bytes.length)).toSorted((a, b) => a - b);
  return [0, ...cuts].map((cut, index) => bytes.subarray(cut, cuts[index]));
}

async function openDoor([path, header]: (typeof DOORS)[number]): Promise<Socket> {
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname).setNoDelay(true);
  socket.on('error', () => undefined);
  const key = Buffer.alloc(16).toString('base64');
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${header}` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  const [response] = (await once(socket, 'data')) as [Buffer];
  expect(response.toString()).toMatch(/^HTTP\/1\.1 101 /);
  return socket;
}

test('any frames, in any chunks, close at most their own connection', { timeout: TIMEOUT_MS }, async () => {
  const property = fc.asyncProperty(draws(), async (draw) => {
    const sockets = await Promise.all(DOORS.map(openDoor));
    const chunks = drawChunks(draw);
    for (const chunk of chunks)
      await Promise.all(
        sockets.map((socket) => new Promise<void>((resolve) => void socket.write(chunk, () => resolve()))),
      );
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    for (const socket of sockets) socket.destroy();
  });
  await fuzz(property, 300);
});
