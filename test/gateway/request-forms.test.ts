import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { io } from 'socket.io-client';
import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';

// Unusual but valid HTTP requests of clients and proxies: each must be served like its common form.

const BODY = '{"query":"{ __typename }"}';
const RESULT = '{"data":{"__typename":"Query"}}';
const KEY = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

/** Sends raw request lines and returns the open socket. */
function openRequest(url: string, head: string, body: string | Buffer = ''): Socket {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname).on('error', () => undefined);
  socket.write(`${head}\r\n\r\n`);
  socket.write(body);
  return socket;
}

const sendRequest = (url: string, head: string, body: string | Buffer = ''): Promise<string> =>
  text(openRequest(url, `${head}\r\nConnection: close`, body));

/** Posts an operation with a chosen request target and headers. */
const post = (
  url: string,
  target: string,
  headers = 'Host: test',
  body: string | Buffer = BODY,
): Promise<string> =>
  sendRequest(
    url,
    `POST ${target} HTTP/1.1\r\n${headers}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`,
    body,
  );

test('an operation runs for every equivalent form of the path', async () => {
  await using app = await startTestApp();
  for (const target of [
    '/graphql',
    '/graphql/',
    '//graphql',
    '/graphql//?x=1',
    '/./x/../graphql',
    '/%67raph%71l',
    'http://proxy.test/graphql',
    'HTTPS://user@proxy.test:443/graphql/?x=1',
  ])
    expect(await post(app.url, target), target).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*\{"data"/);
  for (const target of ['/Graphql', '/graphql/x', '/graphql%2F', '/%', 'http://proxy.test'])
    expect(await post(app.url, target), target).not.toContain(RESULT);
});

test('an unknown path is 404 in JSON, also below a served folder', async () => {
  await using app = await startTestApp();
  for (const path of ['/nothing', '/page', '/page/nothing', '/socket.iox/', '/%ff']) {
    const response = await fetch(app.url + path);
    expect(response.status, path).toBe(404);
    expect(await response.json(), path).toMatchObject({ code: 'NOT_FOUND' });
  }
});

test('a request with an empty, missing or unusual Host is served', async () => {
  await using app = await startTestApp();
  for (const host of ['', 'TEST', 'test:', 'a_b.test', '[::1]:4000', 'xn--bcher-kva.test'])
    expect(await post(app.url, '/graphql', `Host: ${host}`), host).toContain(RESULT);
  expect(await sendRequest(app.url, 'GET /healthz HTTP/1.0')).toContain('"alive"');
  for (const host of ['a/b', 'a?b', 'user@a', 'a:x'])
    expect(await post(app.url, '/graphql', `Host: ${host}`), host).toMatch(/^HTTP\/1.1 400 /);
});

test.each([
  ['/graphql/', 'Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade'],
  ['//graphql', 'Upgrade: WEBSOCKET\r\nConnection: upgrade'],
  ['http://proxy.test/graphql', 'Upgrade: h2c, websocket\r\nConnection: Upgrade, HTTP2-Settings'],
  ['/socket.io?EIO=4&transport=websocket', 'Upgrade: WebSocket\r\nConnection: Upgrade'],
  ['//socket.io//?EIO=3&transport=websocket', 'Upgrade: websocket\r\nConnection: Keep-Alive, Upgrade'],
])('a WebSocket is opened at %s with "%s"', async (target, upgrade) => {
  await using app = await startTestApp();
  const socket = openRequest(
    app.url,
    `GET ${target} HTTP/1.1\r\nHost: test\r\n${upgrade}\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n${KEY.trim()}`,
  );
  const [data] = (await once(socket, 'data')) as [Buffer];
  expect(data.toString()).toMatch(/^HTTP\/1.1 101 /);
  socket.destroy();
});

test('a rejected handshake states its reason as JSON', async () => {
  await using app = await startTestApp({ env: { CORS_ORIGINS: 'https://app.test' } });
  const sendHandshake = (path: string, more = '') =>
    sendRequest(
      app.url,
      `GET ${path} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n${more}${KEY}Connection: Upgrade`,
    );
  expect(await sendHandshake('/nothing')).toMatch(/^HTTP\/1.1 404 Not Found\r\n[^]*"NOT_FOUND"/);
  expect(await sendHandshake('/graphql', 'Origin: https://other.test\r\n')).toMatch(
    /^HTTP\/1.1 403 [^]*"FORBIDDEN"/,
  );
});

test('a handshake without `Upgrade`, which some proxies remove, is rejected with 426', async () => {
  await using app = await startTestApp();
  const response = await sendRequest(app.url, `GET /graphql HTTP/1.1\r\nHost: test\r\n${KEY.trim()}`);
  expect(response).toMatch(/^HTTP\/1.1 426 Upgrade Required\r\n[^]*proxy/);
});

test.each(['polling', 'websocket'])(
  'socket.io connects without a trailing slash in its path, by %s',
  async (transport) => {
    await using app = await startTestApp();
    const socket = io(app.url, { addTrailingSlash: false, transports: [transport], forceNew: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('connect_error', reject);
    });
    socket.close();
  },
);

test('every path with GET supports HEAD', async () => {
  await using app = await startTestApp();
  for (const path of [
    '/',
    '/channels',
    '/asyncapi.yaml',
    '/page/style.css',
    '/healthz',
    '/readyz',
    '/metrics',
    '/graphql?query={__typename}',
  ]) {
    const response = await fetch(app.url + path, { method: 'HEAD' });
    expect(response.status, path).toBe(200);
    expect(await response.text(), path).toBe('');
  }
  const stream = await fetch(`${app.url}/graphql?query=subscription{inboxEvents{__typename}}`, {
    method: 'HEAD',
  });
  expect(stream.status).toBe(400);
});

test('every path lists its methods in `Allow`', async () => {
  await using app = await startTestApp();
  for (const [path, methods] of [
    ['/graphql', 'GET, HEAD, POST, OPTIONS'],
    ['/media/1', 'GET, HEAD, OPTIONS'],
    ['/media/upload/1', 'POST, OPTIONS'],
    ['/healthz', 'GET, HEAD, OPTIONS'],
  ] as const) {
    const options = await fetch(app.url + path, { method: 'OPTIONS' });
    expect([options.status, options.headers.get('allow')], path).toEqual([204, methods]);
    const response = await fetch(app.url + path, { method: 'DELETE' });
    expect([response.status, response.headers.get('allow')], path).toEqual([405, methods]);
  }
  expect(await sendRequest(app.url, 'OPTIONS * HTTP/1.1\r\nHost: test')).toMatch(/^HTTP\/1.1 204 /);
});

/** Posts to /graphql with an unchanged content type. */
const postBody = (url: string, type: string | undefined, body: string | Buffer = BODY, headers = {}) =>
  fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { ...(type === undefined ? {} : { 'content-type': type }), ...headers },
    // `fetch` sets no content type for a buffer.
    body: new Uint8Array(Buffer.from(body)),
  });

test('a media type is accepted in any case, with any spaces and quotes', async () => {
  await using app = await startTestApp();
  for (const type of [
    'Application/JSON',
    'APPLICATION/JSON;CHARSET=UTF-8',
    'application/json ; charset="utf-8"',
    'application/json; charset=utf8',
    "application/json; charset='utf-8';",
    'application/json; charset=',
    'application/graphql-response+json',
    'application/vnd.example+json',
  ])
    expect(await (await postBody(app.url, type)).text(), type).toBe(RESULT);
  const formResponse = await postBody(app.url, 'Application/X-WWW-Form-Urlencoded', 'query={__typename}');
  expect(await formResponse.text()).toBe(RESULT);
  const responseWithBom = await postBody(app.url, 'application/json', `\ufeff${BODY}`);
  expect(await responseWithBom.text()).toBe(RESULT);
});

test('a multipart body is accepted with its type in any case', async () => {
  await using app = await startTestApp();
  const postMultipart = (type: string) =>
    fetch(`${app.url}/graphql`, { method: 'POST', headers: { 'content-type': type }, body: '--XyZ--\r\n' });
  for (const type of ['Multipart/Form-Data; boundary=XyZ', 'multipart/form-data;Boundary="XyZ"'])
    expect(await (await postMultipart(type)).json(), type).toMatchObject({
      errors: [{ message: 'The request does not contain the file.' }],
    });
});

test('an unsupported type, charset or coding is rejected with 415', async () => {
  await using app = await startTestApp();
  for (const [type, body, headers] of [
    ['text/plain', BODY, {}],
    [undefined, BODY, {}],
    ['application/json; charset=iso-8859-1', BODY, {}],
    ['application/json; charset=UTF-16', Buffer.from(BODY, 'utf16le'), {}],
    ['application/json', gzipSync(BODY), { 'content-encoding': 'gzip' }],
    ['application/json', gzipSync(BODY), { 'content-encoding': 'GZIP, identity' }],
    ['application/json', BODY, { 'content-encoding': 'br' }],
  ] as const) {
    const response = await postBody(app.url, type, body, headers);
    expect(response.status, `${type} ${JSON.stringify(headers)}`).toBe(415);
    expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'INVALID_INPUT' } }] });
    expect(response.headers.get('accept-encoding')).toBe('content-encoding' in headers ? 'identity' : null);
  }
  const plain = await postBody(app.url, 'application/json', BODY, { 'content-encoding': 'identity' });
  expect(await plain.text()).toBe(RESULT);
});

test('a body that is not UTF-8 is rejected', async () => {
  await using app = await startTestApp();
  const latin1Body = Buffer.from('{"query":"{ __typename } # \u00e9"}', 'latin1');
  const response = await postBody(app.url, 'application/json', latin1Body, {
    accept: 'application/graphql-response+json',
  });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({
    errors: [{ message: 'The request body is not UTF-8.', extensions: { code: 'INVALID_INPUT' } }],
  });
});

test('a client that waits for `100 Continue` receives it', async () => {
  await using app = await startTestApp();
  const response = await post(app.url, '/graphql', 'Host: test\r\nExpect: 100-continue');
  expect(response).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK[^]*"Query"/);
});

test('a result has the media type that the client prefers', async () => {
  await using app = await startTestApp();
  for (const [accept, type] of [
    ['application/json;q=0.1, application/graphql-response+json', 'application/graphql-response+json'],
    ['application/graphql-response+json;q=0.5, Application/JSON', 'application/json'],
    ['application/json;charset=utf-8', 'application/json'],
    ['text/html;q=0.5, application/json', 'application/json'],
    ['', 'application/json'],
    ['json', 'application/json'],
    ['image/gif, *; q=.2', 'application/json'],
    ['application/json;q=0.5, text/html', 'text/html'],
  ] as const) {
    const response = await fetch(`${app.url}/graphql?query={__typename}`, { headers: { accept } });
    await response.body?.cancel();
    expect(response.headers.get('content-type')?.split(';')[0], accept).toBe(type);
  }
  for (const accept of ['image/png', 'application/json;q=0']) {
    const response = await fetch(`${app.url}/graphql?query={__typename}`, { headers: { accept } });
    expect([response.status, await response.json()], accept).toMatchObject([406, { code: 'INVALID_INPUT' }]);
  }
});
