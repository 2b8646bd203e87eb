import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { waitQuietPeriod } from '../harness/waiting.ts';

const UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n';
const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

/** Sends raw request lines and leaves the client's half of the connection open. */
function openSocket(url: string, lines: string): Socket {
  const { hostname, port } = new URL(url);
  const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
  socket.on('error', () => undefined).write(`${lines}\r\n`);
  return socket;
}

const sendRequest = (url: string, lines: string): Promise<string> => text(openSocket(url, lines));

test('a request that offers HTTP/2 is served over HTTP/1.1', async () => {
  await using app = await startTestApp();
  const upgradeHeaders =
    'Connection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n';
  expect(await sendRequest(app.url, `GET /healthz HTTP/1.1\r\nHost: test\r\n${upgradeHeaders}`)).toMatch(
    /^HTTP\/1.1 200 OK\r\n[^]*"alive"/,
  );
});

test('a malformed Host is rejected without internal details', async () => {
  await using app = await startTestApp();
  for (const host of ['[[[', 'a b', 'a:b']) {
    const lines = `GET /graphql?query={__typename} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n`;
    const response = await sendRequest(app.url, lines);
    expect(response, host).toMatch(/^HTTP\/1.1 400 Bad Request\r\n[^]*"INVALID_INPUT"/);
    expect(response, host).not.toContain('node_modules');
  }
});

test('parameters in the URL that are not JSON are INVALID_INPUT', async () => {
  await using app = await startTestApp();
  const response = await fetch(`${app.url}/graphql?query={__typename}&variables={`, {
    headers: { accept: 'application/graphql-response+json' },
  });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'INVALID_INPUT' } }] });
});

test('a connection with too many pipelined requests is destroyed, and others are unaffected', async () => {
  await using app = await startTestApp();
  const socket = openSocket(app.url, 'GET /readyz HTTP/1.1\r\nHost: test\r\n\r\n'.repeat(1_000));
  await new Promise((resolve) => socket.resume().once('end', resolve).once('close', resolve));
  socket.destroy();
  expect((await fetch(`${app.url}/healthz`)).status).toBe(200);
});

test('a pipelined request does not start before the client has read the responses before it', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  const script = 'GET /graphiql/vendor/graphiql.js HTTP/1.1\r\nHost: test\r\n\r\n';
  const body = JSON.stringify({ query: 'mutation { createCircle(name: "Pipelined") { id } }' });
  const headers = `Authorization: Bearer ${ann.token}\r\nContent-Type: application/json\r\nConnection: close\r\n`;
  const post = `POST /graphql HTTP/1.1\r\nHost: test\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;
  // Three have 16 MB, which no kernel buffers.
  const socket = openSocket(app.url, `${script.repeat(3)}${post}`).pause();
  await waitQuietPeriod(300);
  const CIRCLES = '{ circles(first: 10) { nodes { name } } }';
  expect(await ann.graphql.run(CIRCLES)).toEqual({ circles: { nodes: [] } });
  expect(await text(socket)).toMatch(/"createCircle":\{"id":"Circle:\d+"\}/);
  expect(await ann.graphql.run(CIRCLES)).toEqual({ circles: { nodes: [{ name: 'Pipelined' }] } });
});

test.each([
  ['an upgrade that was rejected', `GET /nothing HTTP/1.1\r\nHost: test\r\n${UPGRADE}\r\nmore`],
  [
    'a GraphQL WebSocket',
    `GET /graphql HTTP/1.1\r\nHost: test\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n${UPGRADE}${KEY}`,
  ],
  [
    'a legacy connection',
    `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: test\r\n${UPGRADE}${KEY}`,
  ],
])('a gateway stops although %s never closes', async (_label, lines) => {
  const app = await startTestApp();
  const socket = openSocket(app.url, lines);
  await new Promise((resolve) => socket.once('data', resolve));
  await app[Symbol.asyncDispose]();
  await expect(fetch(app.url)).rejects.toThrow();
  socket.destroy();
});
