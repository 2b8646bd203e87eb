import { request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { createHttpPolicy } from '../../src/gateway/http/policy.ts';
import { readConfig } from '../../src/config.ts';
import type { TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';

const ADMIN_TOKEN = 'operators-of-parley-only';
const OPERATOR_PATHS = ['/metrics', '/legacy-report', '/admin/graphql?query={__typename}'];

type Headers = Readonly<Record<string, string>>;

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Sends a request with any headers: `fetch` sets `Host`, `Origin` and `Sec-Fetch-Site` itself. */
async function send(
  app: Pick<TestGateway, 'url'>,
  path: string,
  headers: Headers = {},
  { method = 'GET', body = '' }: { readonly method?: string; readonly body?: string } = {},
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const sent = httpRequest(app.url + path, { method, headers }, (response) => {
    text(response).then(
      (received) => resolve({ status: response.statusCode, headers: response.headers, body: received }),
      reject,
    );
  });
  sent.once('error', reject);
  sent.end(body);
  return promise;
}

test('every response of every route has the security headers', async () => {
  await using app = await startTestApp({
    env: { TRUSTED_PROXIES: 'loopback', CORS_ORIGINS: 'https://app.example.com' },
  });
  const json = { 'content-type': 'application/json' };
  const cases: [path: string, headers?: Headers, options?: { method?: string; body?: string }][] = [
    ['/'],
    ['/channels'],
    ['/page/style.css'],
    ['/page/nothing.js'],
    ['/graphiql/vendor/json.js'],
    ['/graphiql/nothing.js'],
    ['/asyncapi.yaml'],
    ['/nothing'],
    ['/admin'],
    ['/page/admin/main.js'],
    ['/admin/graphql'],
    ['/healthz'],
    ['/readyz'],
    ['/metrics'],
    ['/legacy-report'],
    ['/legacy-report?days=x'],
    ['/graphql?query={__typename}'],
    ['/graphql', { accept: 'text/html' }],
    ['/graphql', json, { method: 'POST', body: '{"query":"{ __typename }"}' }],
    ['/graphql', json, { method: 'POST', body: '{' }],
    ['/graphql', { 'content-type': 'text/css' }, { method: 'POST' }],
    ['/graphql', { 'content-type': 'multipart/form-data; boundary=x' }, { method: 'POST', body: 'x' }],
    ['/graphql', { ...json, 'content-encoding': 'gzip' }, { method: 'POST' }],
    ['/graphql', {}, { method: 'DELETE' }],
    ['/graphql', {}, { method: 'OPTIONS' }],
    ['/graphql', { origin: 'https://evil.example' }],
    ['/graphql', { host: 'evil.example' }],
    ['/graphql', { 'sec-websocket-key': 'x' }],
    ['/media/1'],
    ['/media/upload/1', {}, { method: 'POST' }],
    ['/media/resumable/1', {}, { method: 'PATCH' }],
    ['/socket.io/?EIO=4&transport=polling'],
    ['/socket.io/?EIO=3&transport=polling&j=0'],
    ['/socket.io/?EIO=4&transport=polling&sid=nothing'],
    ['/socket.io/?EIO=4&transport=nothing'],
    ['/socket.io/', {}, { method: 'PUT' }],
    ['/nothing', { connection: 'upgrade', upgrade: 'websocket' }],
  ];
  for (const [path, headers, options] of cases) {
    const answer = await send(app, path, { 'x-forwarded-proto': 'https', ...headers }, options);
    const label = JSON.stringify([path, headers, options, answer.status]);
    expect(answer.headers, label).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'x-frame-options': 'DENY',
      'cross-origin-opener-policy': 'same-origin',
      'strict-transport-security': 'max-age=31536000',
      'cross-origin-resource-policy': /^\/(media\/\d|socket\.io\/)/.test(path)
        ? 'cross-origin'
        : 'same-origin',
    });
    expect(answer.headers['content-security-policy'], label).toMatch(
      /default-src 'none'.*frame-ancestors 'none'/,
    );
    expect(answer.headers['cache-control'], label).toBeDefined();
  }
});

test('HSTS is sent only for requests that reached a trusted proxy by TLS', () => {
  const policy = createHttpPolicy(readConfig({ TRUSTED_PROXIES: '10.0.0.0/8' }));
  const isSent = (remoteAddress: string, proto?: string) =>
    'strict-transport-security' in
    policy.securityHeadersOf({
      headers: { 'x-forwarded-proto': proto },
      socket: { remoteAddress },
    } as unknown as Parameters<typeof policy.securityHeadersOf>[0]);
  expect(isSent('10.1.2.3', 'https')).toBe(true);
  expect(isSent('10.1.2.3', 'http')).toBe(false);
  expect(isSent('10.1.2.3')).toBe(false);
  expect(isSent('192.0.2.1', 'https')).toBe(false);
});

test('responses that depend on Accept, Authorization or Origin say so', async () => {
  await using app = await startTestApp();
  const cases: Headers[] = [{}, { accept: 'text/html' }, { origin: 'https://any.example' }];
  for (const headers of cases) {
    const { headers: received } = await send(app, '/graphql?query={__typename}', headers);
    const names = (received.vary ?? '').toLowerCase().split(/, */);
    expect(names).toEqual(expect.arrayContaining(['accept', 'authorization', 'origin']));
  }
});

test('a page of another origin cannot send a body without a preflight; other clients can', async () => {
  await using app = await startTestApp();
  const form = new URLSearchParams({ query: 'mutation { logout }' }).toString();
  const run = (headers: Headers, body = form) => send(app, '/graphql', headers, { method: 'POST', body });
  const urlencoded = { 'content-type': 'application/x-www-form-urlencoded' };
  const multipart = { 'content-type': 'multipart/form-data; boundary=x' };
  const upload =
    '--x\r\ncontent-disposition: form-data; name="operations"\r\n\r\n{"query":"{ __typename }"}\r\n--x--\r\n';
  const isRefused = async (headers: Headers, body?: string) => {
    const { status, body: received } = await run(headers, body);
    return status === 403 && received.includes('x-parley-preflight');
  };
  const foreign: Headers[] = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ];
  for (const headers of foreign) {
    expect(await isRefused({ ...urlencoded, ...headers })).toBe(true);
    expect(await isRefused({ ...multipart, ...headers }, upload)).toBe(true);
    expect(await isRefused({ 'content-type': 'text/plain', ...headers })).toBe(true);
    for (const name of ['x-parley-preflight', 'apollo-require-preflight', 'authorization'])
      expect(await isRefused({ ...multipart, ...headers, [name]: 'x' }, upload)).toBe(false);
    expect(await isRefused({ 'content-type': 'application/json', ...headers }, '{}')).toBe(false);
  }
  const own: Headers[] = [{}, { origin: app.url }, { 'sec-fetch-site': 'same-origin' }];
  for (const headers of own) {
    expect(await isRefused({ ...urlencoded, ...headers })).toBe(false);
    expect(await isRefused({ ...multipart, ...headers }, upload)).toBe(false);
  }
  await using listed = await startTestApp({ env: { CORS_ORIGINS: 'https://app.example.com' } });
  const page = { ...urlencoded, origin: 'https://app.example.com' };
  expect((await send(listed, '/graphql', page, { method: 'POST', body: form })).status).not.toBe(403);
});

test('a mutation is never run by GET or HEAD', async () => {
  await using app = await startTestApp();
  const input = '{email:"new@example.com",password:"long enough",firstName:"N",lastName:"N"}';
  const path = `/graphql?query=${encodeURIComponent(`mutation { createAccount(input:${input}) { token } }`)}`;
  expect((await send(app, path)).status).toBe(405);
  expect((await send(app, path, {}, { method: 'HEAD' })).status).toBe(405);
  await app.createAccount({ email: 'new@example.com' });
});

test('with CORS_ORIGINS, only names of the gateway are accepted as Host', async () => {
  await using app = await startTestApp({
    env: {
      CORS_ORIGINS: 'https://app.example.com,https://gateway.example.com:8443,null,capacitor://localhost',
    },
  });
  const statusOf = async (host: string, path = '/graphql?query={__typename}') =>
    (await send(app, path, { host })).status;
  for (const host of [
    'app.example.com',
    'APP.example.com.:80',
    'gateway.example.com',
    'localhost:4000',
    'parley.localhost',
    '127.0.0.1',
    '203.0.113.7:4000',
    '[::1]:4000',
    'parley:4000',
  ])
    expect(await statusOf(host), host).toBe(200);
  for (const host of [
    'evil.example',
    'app.example.com.evil.example',
    'localhost.evil.example',
    '127.0.0.1.nip.io',
  ]) {
    for (const path of ['/', '/graphql', '/socket.io/?EIO=4&transport=polling', '/media/1', '/metrics'])
      expect(await statusOf(host, path), `${host}${path}`).toBe(403);
    for (const path of ['/healthz', '/readyz']) expect(await statusOf(host, path), path).toBe(200);
    const upgrade = { host, origin: `http://${host}`, connection: 'upgrade', upgrade: 'websocket' };
    for (const path of ['/graphql', '/socket.io/?EIO=4&transport=websocket'])
      expect((await send(app, path, upgrade)).status, path).toBe(403);
  }
});

test('on a loopback HOST, the routes of operators are open to this machine alone', async () => {
  await using app = await startTestApp();
  const foreign: Headers[] = [
    { 'x-forwarded-for': '203.0.113.7' },
    { forwarded: 'for=203.0.113.7' },
    { 'x-real-ip': '203.0.113.7' },
    { host: 'evil.example' },
    { 'sec-fetch-site': 'cross-site' },
  ];
  for (const path of OPERATOR_PATHS) {
    expect((await send(app, path)).status, path).toBe(200);
    for (const headers of foreign)
      expect((await send(app, path, headers)).status, JSON.stringify(headers)).toBe(404);
    for (const options of [{}, { method: 'OPTIONS' }]) {
      const { headers } = await send(app, path, { origin: 'https://any.example' }, options);
      expect(headers['access-control-allow-origin']).toBeUndefined();
    }
  }
});

test('on another HOST, the routes of operators need ADMIN_TOKEN, and do not exist without it', async () => {
  await using hidden = await startTestApp({ env: { HOST: '0.0.0.0' } });
  await using guarded = await startTestApp({ env: { HOST: '0.0.0.0', ADMIN_TOKEN } });
  const { body: absentBody } = await send(hidden, '/nothing');
  for (const path of OPERATOR_PATHS) {
    const authorization = `Bearer ${ADMIN_TOKEN}`;
    expect(await send(hidden, path, { authorization })).toMatchObject({ status: 404, body: absentBody });
    expect((await send(guarded, path, { authorization })).status).toBe(200);
    const wrong: Headers[] = [
      {},
      { authorization: `Bearer ${ADMIN_TOKEN}x` },
      { authorization: ADMIN_TOKEN },
    ];
    for (const headers of wrong) {
      const refused = await send(guarded, path, headers);
      expect(refused.status).toBe(401);
      expect(refused.headers['www-authenticate']).toMatch(/^Bearer /);
    }
    expect((await send(guarded, `${path}?token=${ADMIN_TOKEN}`)).status).toBe(401);
    const spellings = [`/.${path}`, `/${path}/`, path.replace('/m', '/%6d'), `/page/..${path}`];
    for (const spelling of spellings) expect((await send(guarded, spelling)).status, spelling).not.toBe(200);
  }
});

test('the token of operators is required outside the machine', () => {
  const policy = createHttpPolicy(readConfig({ HOST: '0.0.0.0', ADMIN_TOKEN }));
  const accessWith = (authorization: string | undefined) =>
    policy.operatorAccess({ headers: { authorization } } as IncomingMessage);
  expect([undefined, 'Bearer wrong', `Bearer ${ADMIN_TOKEN}`].map(accessWith)).toEqual([
    'refused',
    'refused',
    'allowed',
  ]);
});
