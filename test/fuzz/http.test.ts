import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ERROR_CODES } from '../../src/errors.ts';
import { withTimeout } from '../../src/lib/timeout.ts';
import { drawEdited, draws } from './draw.ts';
import type { Draw } from './draw.ts';
import { TIMEOUT_MS, fuzz } from './fuzz.ts';
import { startFuzzServer } from './server.ts';
import type { FuzzServer } from './server.ts';

// Bytes of HTTP that no client library sends.

let server: FuzzServer;

beforeAll(async () => {
  server = await startFuzzServer();
});

afterAll(() => server[Symbol.asyncDispose]());

afterEach(() => server.expectHealthy());

/** More than any response takes, and less than a connection stays open that waits for the rest of a request. */
const RESPONSE_TIMEOUT_MS = 15_000;

interface RawResponse {
  readonly status: number;
  readonly body: string;
}

/** Reads the responses of a connection until it is closed. Throws if a response is malformed. */
async function readResponses(socket: Socket): Promise<readonly RawResponse[]> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  const closed = Promise.withResolvers<void>();
  let isReset = false;
  socket.on('error', () => (isReset = true)).on('close', closed.resolve);
  await withTimeout(RESPONSE_TIMEOUT_MS, closed.promise);
  const responses: RawResponse[] = [];
  let rest = Buffer.concat(chunks).toString('latin1');
  while (rest !== '') {
    const [head = '', status] = /^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n/.exec(rest) ?? [];
    // A reset discards what the client has not received yet.
    if (status === undefined && isReset) break;
    if (status === undefined) throw new Error(`No response: ${rest.slice(0, 200)}`);
    rest = rest.slice(head.length);
    if (Number(status) < 200) continue;
    const hasBody = status !== '204' && status !== '304';
    const { body, length } = hasBody ? takeBody(head, rest) : { body: '', length: 0 };
    rest = rest.slice(length);
    responses.push({ status: Number(status), body });
  }
  return responses;
}

/** Returns the body at the start of a text, and its length there. A connection may be closed within a body. */
function takeBody(head: string, text: string): { readonly body: string; readonly length: number } {
  // A response to HEAD has a length, and no body: the next response follows.
  if (text.startsWith('HTTP/1.1 ')) return { body: '', length: 0 };
  const [, contentLength] = /^content-length: (\d+)\r$/im.exec(head) ?? [];
  if (contentLength !== undefined) {
    const body = text.slice(0, Number(contentLength));
    return { body, length: body.length };
  }
  const [chunked] = /^(?:[\da-f]+\r\n[^]*?\r\n)*?0\r\n\r\n/i.exec(text) ?? [text];
  return { body: chunked, length: chunked.length };
}

const STATUSES: ReadonlySet<number> = new Set([
  200,
  204,
  304,
  426,
  431,
  405,
  406,
  408,
  412,
  413,
  415,
  417,
  ...Object.values(ERROR_CODES).map(({ http }) => http),
]);

function expectDocumentedResponse({ status, body }: RawResponse, input: string): void {
  expect(STATUSES.has(status) && status < 500, `${status} ${body} for ${input}`).toBe(true);
  expect(body).not.toMatch(/\bat .*\.ts:\d|node_modules|select |insert into/);
}

async function openConnection(): Promise<Socket> {
  const { hostname, port } = new URL(server.url);
  // `allowHalfOpen`: the responses arrive after the client has ended its half.
  const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
  await once(socket, 'connect');
  socket.once('end', () => socket.end());
  return socket;
}

const QUERY = '{"query":"{ __typename }"}';
const LONG = 'x'.repeat(20_000);

const drawTarget = (draw: Draw): string =>
  draw.pick(
    '/graphql',
    '/graphql?query=%7B__typename%7D',
    '/healthz',
    'http://localhost/healthz',
    'http://a@b/graphql',
    '//healthz',
    '/media/1',
    '/media/upload/1',
    '/media/resumable/1',
    '/socket.io/?EIO=4&transport=polling',
    '/socket.io/?EIO=3&transport=polling&j=0',
    '/../healthz',
    '/%2e%2e/%00',
    '*',
    'localhost:80',
    '/#a',
    '/a b',
    `/${LONG}`,
    '',
  );

const drawHeader = (draw: Draw): string =>
  draw.pick(
    'Host: localhost',
    'Host: localhost\r\nHost: other',
    'Host: a b',
    'Host:',
    `Content-Length: ${draw.pick(String(QUERY.length), '0', '5', '100000', '-1', '+5', '0x5', '5, 5', '', '1e3', '9'.repeat(30))}`,
    `Transfer-Encoding: ${draw.pick('chunked', 'Chunked', 'chunked, chunked', 'identity', 'gzip, chunked', 'chunked, gzip', 'x', '')}`,
    'Content-Length : 5',
    ' folded: x',
    'Expect: 100-continue',
    'Expect: x',
    `Connection: ${draw.pick('close', 'keep-alive', 'Upgrade', 'Content-Length')}`,
    `Upgrade: ${draw.pick('websocket', 'h2c', 'x')}`,
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    `Content-Type: ${draw.pick('application/json', 'multipart/form-data; boundary=b', 'text/plain', ';')}`,
    'Content-Encoding: gzip',
    'Authorization: Bearer x',
    'Authorization: Basic x\r\nAuthorization: Bearer y',
    `Accept: ${draw.pick('text/event-stream', 'application/json', ',')}`,
    `Origin: ${draw.pick('null', 'http://a', '\u0001')}`,
    'Range: bytes=0-,5-2',
    'Trailer: x',
    `X: ${LONG}`,
    'no colon',
    ': no name',
    'a\u0000b: c',
  );

const drawBody = (draw: Draw): string =>
  draw.pick(
    '',
    QUERY,
    QUERY.slice(0, 5),
    `${QUERY.length.toString(16)}\r\n${QUERY}\r\n0\r\n\r\n`,
    `${QUERY.length.toString(16)};a=b\r\n${QUERY}\r\n0\r\nx: y\r\n\r\n`,
    `5\r\n${QUERY}\r\n0\r\n\r\n`,
    'ffffffffffffffffff\r\n',
    '-1\r\n',
    'x\r\n',
    `5;${LONG}\r\n`,
    LONG,
  );

function drawRequest(draw: Draw): string {
  const method = draw.pick(
    'GET',
    'POST',
    'POST',
    'HEAD',
    'OPTIONS',
    'PUT',
    'CONNECT',
    'TRACE',
    'get',
    'X',
    '',
  );
  const version = draw.pick('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/9', '');
  const count = draw.nat(5);
  const headers = Array.from({ length: count }, () => `${drawHeader(draw)}\r\n`).join('');
  const host = draw.oneIn(5) ? '' : 'Host: localhost\r\n';
  return `${method} ${drawTarget(draw)} ${version}\r\n${host}${headers}\r\n${drawBody(draw)}`;
}

test(
  'any bytes get documented responses, and their connection is closed',
  { timeout: TIMEOUT_MS },
  async () => {
    const property = fc.asyncProperty(draws(), async (draw) => {
      const requests = Array.from({ length: 1 + draw.nat(3) }, () => drawRequest(draw)).join('');
      const input = draw.oneIn(3) ? drawEdited(draw, requests) : requests;
      const socket = await openConnection();
      const responses = readResponses(socket);
      const middle = draw.nat(input.length);
      socket.write(input.slice(0, middle), 'latin1');
      if (draw.oneIn(2)) await new Promise(setImmediate);
      socket.end(input.slice(middle), 'latin1');
      for (const response of await responses) expectDocumentedResponse(response, JSON.stringify(input));
    });
    await fuzz(property, 1_500);
  },
);

/** Requests whose end a proxy may see elsewhere: the bytes after it could become a request of another client. */
const AMBIGUOUS = [
  ['both lengths', 'Content-Length: 4\r\nTransfer-Encoding: chunked', '0\r\n\r\n'],
  ['two different lengths', 'Content-Length: 0\r\nContent-Length: 4', ''],
  ['a list of lengths', 'Content-Length: 0, 0', ''],
  ['a signed length', 'Content-Length: +0', ''],
  ['a hexadecimal length', 'Content-Length: 0x0', ''],
  ['a space before the colon', 'Content-Length : 0', ''],
  ['a folded length', 'Content-Length:\r\n 0', ''],
  ['another encoding', 'Transfer-Encoding: x', '0\r\n\r\n'],
  ['an encoding after chunked', 'Transfer-Encoding: chunked, identity', '0\r\n\r\n'],
  ['a vertical tab before the encoding', 'Transfer-Encoding: \u000bchunked', '0\r\n\r\n'],
  ['a malformed chunk size', 'Transfer-Encoding: chunked', '0x0\r\n\r\n'],
  ['a signed chunk size', 'Transfer-Encoding: chunked', '+0\r\n\r\n'],
  ['a chunk that is longer than its size', 'Transfer-Encoding: chunked', '1\r\nab\r\n0\r\n\r\n'],
  ['a chunk size without a carriage return', 'Transfer-Encoding: chunked', '0\n\n'],
  ['a bare carriage return in a header', 'X: a\rContent-Length: 0', ''],
  ['a null byte in a header', 'X: a\u0000', ''],
] as const;

test.for(AMBIGUOUS)('the bytes after a request with %s are no request', async ([, header, body]) => {
  const socket = await openConnection();
  const responses = readResponses(socket);
  const head = `POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${header}\r\n\r\n`;
  socket.write(`${head}${body}GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n`, 'latin1');
  const [first, ...others] = await responses;
  expect([400, 415]).toContain(first?.status);
  expect(others).toEqual([]);
});
