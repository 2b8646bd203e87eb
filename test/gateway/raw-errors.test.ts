import { once } from 'node:events';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { ConnectionSlots } from '../../src/gateway/connection-slots.ts';
import { createHttpPolicy } from '../../src/gateway/http/policy.ts';
import { createHttpServer } from '../../src/gateway/http/server.ts';
import { timeoutsFor } from '../../src/gateway/http/timeouts.ts';
import { createByteLedgers } from '../../src/lib/byte-ledger.ts';
import { TurnClock } from '../../src/lib/turn-clock.ts';
import { createLogger } from '../../src/log.ts';
import { startTestApp } from '../harness/app.ts';

/** Sends bytes, and returns the whole response once the server has closed the connection. */
async function exchange(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  socket.write(bytes);
  return text(socket);
}

/** Returns the body. */
function expectClosing(response: string, status: number, type: string, label: string): string {
  const [head = '', body = ''] = response.split('\r\n\r\n');
  const [statusLine = '', ...lines] = head.split('\r\n');
  expect(statusLine, label).toMatch(new RegExp(`^HTTP/1\\.1 ${status} \\w`));
  const headers = Object.fromEntries(
    lines.map((line) => [line.split(': ')[0]?.toLowerCase(), line.split(': ').slice(1).join(': ')]),
  );
  expect(headers, label).toMatchObject({
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'x-frame-options': 'DENY',
    'content-security-policy': expect.stringContaining("default-src 'none'") as string,
    'cross-origin-opener-policy': 'same-origin',
    'cache-control': 'no-store',
    'content-type': `${type}; charset=utf-8`,
    'content-length': String(Buffer.byteLength(body)),
    connection: expect.stringMatching(/^close/i) as string,
  });
  return body;
}

function expectClosingError(response: string, status: number, code: string, label: string): void {
  const body = expectClosing(response, status, 'application/json', label);
  expect(JSON.parse(body), label).toMatchObject({
    code,
    message: expect.stringMatching(/\.$/) as string,
    errors: [{ extensions: { code } }],
  });
}

const UPGRADE = 'Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n';
const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
const VERSION = 'Sec-WebSocket-Version: 13\r\n';
const LONG = 'x'.repeat(20_000);

const CASES: [label: string, bytes: string, status: number, code: string][] = [
  ['no HTTP', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400, 'INVALID_INPUT'],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'INVALID_INPUT'],
  ['bad header', 'GET / HTTP/1.1\r\nHost: a\r\nno header\r\n\r\n', 400, 'INVALID_INPUT'],
  ['no host', 'GET / HTTP/1.1\r\n\r\n', 400, 'INVALID_INPUT'],
  ['bad host', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400, 'INVALID_INPUT'],
  ['large headers', `GET / HTTP/1.1\r\nHost: a\r\nX: ${LONG}\r\n\r\n`, 431, 'LIMIT_EXCEEDED'],
  ['large target', `GET /${LONG} HTTP/1.1\r\nHost: a\r\n\r\n`, 431, 'LIMIT_EXCEEDED'],
  [
    'large chunk extensions',
    `POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5;x=${LONG}\r\n`,
    413,
    'LIMIT_EXCEEDED',
  ],
  [
    'expectation',
    'POST / HTTP/1.1\r\nHost: a\r\nExpect: cake\r\nContent-Length: 1\r\n\r\n',
    417,
    'INVALID_INPUT',
  ],
  ['CONNECT', 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n', 405, 'INVALID_INPUT'],
  ['upgrade of another path', `GET /nothing HTTP/1.1\r\n${UPGRADE}${KEY}${VERSION}\r\n`, 404, 'NOT_FOUND'],
  [
    'upgrade without host',
    `GET /graphql HTTP/1.1\r\n${UPGRADE.slice(9)}${KEY}${VERSION}\r\n`,
    400,
    'INVALID_INPUT',
  ],
  [
    'handshake without upgrade',
    `GET /graphql HTTP/1.1\r\nHost: a\r\n${KEY}${VERSION}\r\n`,
    426,
    'INVALID_INPUT',
  ],
  ['POST as a handshake', `POST /graphql HTTP/1.1\r\n${UPGRADE}${KEY}${VERSION}\r\n`, 405, 'INVALID_INPUT'],
  ['handshake without key', `GET /graphql HTTP/1.1\r\n${UPGRADE}${VERSION}\r\n`, 400, 'INVALID_INPUT'],
  [
    'handshake of another version',
    `GET /graphql HTTP/1.1\r\n${UPGRADE}${KEY}Sec-WebSocket-Version: 7\r\n\r\n`,
    426,
    'INVALID_INPUT',
  ],
];

test('what Node, ws and engine.io reject has the headers of every response, a body, and ends the connection', async () => {
  await using app = await startTestApp();
  const port = Number(new URL(app.url).port);
  for (const [label, bytes, status, code] of CASES)
    expectClosingError(await exchange(port, bytes), status, code, label);
  expect(await exchange(port, CASES.find(([label]) => label.includes('version'))?.[1] ?? '')).toContain(
    '\r\nSec-WebSocket-Version: 13, 8\r\n',
  );
});

test.for([
  ['EIO=4&transport=nothing', KEY, 'Transport unknown'],
  ['EIO=4&transport=websocket&sid=nothing', KEY, 'Session ID unknown'],
  ['EIO=4&transport=websocket', '', 'Missing or invalid Sec-WebSocket-Key header'],
] as const)('the handshake %s of Engine.IO is rejected with its text', async ([query, key, message]) => {
  await using app = await startTestApp();
  const bytes = `GET /socket.io/?${query} HTTP/1.1\r\n${UPGRADE}${key}${VERSION}\r\n`;
  const response = await exchange(Number(new URL(app.url).port), bytes);
  expect(expectClosing(response, 400, 'text/plain', query)).toBe(message);
});

test('a request that does not arrive in time is answered with 408', async () => {
  const { server, destroyConnections } = createHttpServer({
    routes: [],
    policy: createHttpPolicy(readConfig({})),
    connectionSlots: new ConnectionSlots({ max: 100, isProxy: () => false, onRefused: () => undefined }),
    timeouts: { ...timeoutsFor(75_000, 1), headersMs: 100 },
    turnClock: new TurnClock(),
    findKnownAccount: () => undefined,
    inboundLedgers: createByteLedgers({ onEvicted: () => undefined }).inbound,
    onResponse: () => undefined,
    log: createLogger('silent'),
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  expectClosingError(await exchange(port, 'GET / HTTP/1.1\r\nHo'), 408, 'INVALID_INPUT', 'slow head');
  destroyConnections();
  server.close();
});

test('bytes that are no request do not corrupt a response that has begun', async () => {
  await using app = await startTestApp();
  const { token } = await app.createAccount();
  const query = encodeURIComponent('subscription { signals { content } }');
  const socket = connect(Number(new URL(app.url).port), '127.0.0.1').on('error', () => undefined);
  socket.write(
    `GET /graphql?query=${query} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nAuthorization: Bearer ${token}\r\n\r\n`,
  );
  const chunks: string[] = [];
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk.toString());
    if (chunks.length === 1) socket.write('no request\r\n\r\n');
  });
  await once(socket, 'close');
  expect(chunks.join('').match(/HTTP\/1\.1/g)).toHaveLength(1);
});
