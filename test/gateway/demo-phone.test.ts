import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { PREFLIGHT_HEADERS as HEADERS, startDemoApp } from '../harness/demo-app.ts';
import type { DemoAppOptions } from '../harness/demo-app.ts';

const JSON_HEADERS = { 'content-type': 'application/json' };
/** Another address of this machine, as that of the local network is. */
const PHONE_ADDRESS = '127.0.0.2';
const LIFETIME_MS = 15 * 60_000;
const LOG_IN = {
  query: 'mutation { login(email: "bob@example.com", password: "parley") { user { firstName } } }',
};

async function startDemo(options: DemoAppOptions = {}) {
  const phone = options.phone ?? { findAddress: () => PHONE_ADDRESS };
  const app = await startDemoApp({ ...options, phone, restart: () => undefined });
  const request = (method: string, headers: Readonly<Record<string, string>> = HEADERS) =>
    fetch(`${app.url}/demo/phone`, { method, headers });
  return {
    app,
    request,
    readState: async () => (await request('GET', {})).json(),
    /** Opens the gateway for a phone. Returns the URL of the code. */
    async open() {
      const response = await request('POST');
      expect(response.status).toBe(201);
      const { url, expiresInMs } = (await response.json()) as { url: string; expiresInMs: number };
      expect(expiresInMs).toBe(phone.lifetimeMs ?? LIFETIME_MS);
      expect(url).toMatch(/^http:\/\/127\.0\.0\.2:\d+\/demo\/phone\?key=[\w-]{22}$/);
      return new URL(url);
    },
    [Symbol.asyncDispose]: () => app[Symbol.asyncDispose](),
  };
}

/** Uses the key of the URL. Returns the header with the cookie. */
async function enter(url: URL): Promise<{ cookie: string }> {
  const response = await fetch(url);
  expect(response.status).toBe(200);
  expect(await response.text()).toContain('content="0;url=/?side=legacy"');
  const set = response.headers.get('set-cookie') ?? '';
  expect(set).toMatch(/^parley_phone=[\w-]{22}; HttpOnly; SameSite=Strict; Path=\/; Max-Age=\d+$/);
  return { cookie: set.split(';')[0] ?? '' };
}

const openSocket = ({ host }: URL, headers: Record<string, string>) =>
  new WebSocket(`ws://${host}/graphql`, 'graphql-transport-ws', { headers });

test('the gateway is opened for a phone by the page of the demo on this machine only', async () => {
  await using demo = await startDemo();
  expect(await demo.readState()).toEqual({ isAvailable: true });
  for (const headers of [
    {},
    { ...HEADERS, 'x-forwarded-for': '192.0.2.1' },
    { ...HEADERS, 'sec-fetch-site': 'cross-site' },
    { ...HEADERS, origin: 'http://localhost:8080' },
  ])
    expect(await demo.request('POST', headers)).toMatchObject({ status: 403 });
  for (const headers of [{ 'x-forwarded-for': '192.0.2.1' }, { origin: 'http://localhost:8080' }] as Record<
    string,
    string
  >[]) {
    expect(await demo.request('DELETE', headers)).toMatchObject({ status: 403 });
    expect(await (await demo.request('GET', headers)).json()).toEqual({ isAvailable: false });
  }
  expect(await demo.readState()).toEqual({ isAvailable: true });
});

test('a client in the network without the cookie is refused whatever it requests', async () => {
  await using demo = await startDemo();
  const { origin, host } = await demo.open();
  const body = JSON.stringify(LOG_IN);
  for (const [path, init] of [
    ['/', {}],
    ['/', { method: 'OPTIONS' }],
    ['/graphql', { method: 'POST', headers: JSON_HEADERS, body }],
    ['/graphql', { method: 'POST', headers: { ...JSON_HEADERS, cookie: 'parley_phone=guess' }, body }],
    ['/graphql?query={__typename}', {}],
    ['/socket.io/?EIO=3&transport=polling', {}],
    ['/media/1', {}],
    ['/page/style.css', {}],
    ['/healthz', {}],
    ['/admin', {}],
    ['/metrics', {}],
    ['/unknown', {}],
    ['/demo/phone', {}],
    ['/demo/phone', { method: 'POST', headers: HEADERS }],
    ['/demo/phone?key=guess', {}],
    ['/demo/phone?key=guess', { method: 'HEAD' }],
    ['/demo/restart', { method: 'POST', headers: HEADERS }],
  ] as const) {
    const response = await fetch(`${origin}${path}`, init);
    expect([path, response.status]).toEqual([path, 403]);
    expect(await response.text()).not.toContain('Bob"');
  }
  for (const path of ['/graphql', '/socket.io/?EIO=3&transport=websocket', '/unknown']) {
    const socket = new WebSocket(`ws://${host}${path}`);
    const [error] = (await once(socket, 'error').catch((failure: unknown) => [failure])) as [Error];
    expect(error.message).toContain('403');
  }
  expect(await demo.readState()).toMatchObject({ isUsed: false });
});

test('the key of the code admits one browser, which is served all but the routes of operators', async () => {
  await using demo = await startDemo();
  const url = await demo.open();
  expect((await fetch(url, { method: 'HEAD' })).status).toBe(403);
  const headers = await enter(url);
  expect(await demo.readState()).toMatchObject({ isAvailable: true, isUsed: true });
  expect((await fetch(url)).status).toBe(403);
  expect((await fetch(url, { headers })).status).toBe(200);
  const read = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`${url.origin}${path}`, {
      ...init,
      headers: { ...headers, ...(init.headers as Record<string, string> | undefined) },
    });
    return [response.status, await response.text()] as const;
  };
  expect(await read('/')).toEqual([200, expect.stringContaining('<title>Parley')]);
  const login = await read('/graphql', {
    method: 'POST',
    headers: JSON_HEADERS,
    body: JSON.stringify(LOG_IN),
  });
  expect(login).toEqual([200, '{"data":{"login":{"user":{"firstName":"Bob"}}}}']);
  expect(await read('/demo/restart')).toEqual([200, '{"isAvailable":false}']);
  const restart = await read('/demo/restart', { method: 'POST', headers: HEADERS });
  expect(restart[0]).toBe(403);
  for (const path of [
    '/metrics',
    '/legacy-report',
    '/admin',
    '/admin/graphql?query={__typename}',
    '/healthz',
  ])
    expect([path, (await read(path))[0]]).toEqual([path, 404]);
  const socket = openSocket(url, headers);
  await once(socket, 'open');
  socket.terminate();
});

test('connections end when the page closes the listener, opens another one, or stops', async () => {
  await using demo = await startDemo();
  const open = async () => {
    const url = await demo.open();
    const headers = await enter(url);
    const socket = openSocket(url, headers);
    await once(socket, 'open');
    return { url, headers, closed: once(socket, 'close') };
  };
  const first = await open();
  expect(await (await demo.request('DELETE')).json()).toEqual({ isAvailable: true });
  await first.closed;
  await expect(fetch(first.url.origin, first)).rejects.toThrow('fetch failed');

  const second = await open();
  const third = await open();
  await second.closed;
  expect((await fetch(third.url.origin, second)).status).toBe(403);
  await demo.app[Symbol.asyncDispose]();
  await third.closed;
  await expect(fetch(third.url.origin, third)).rejects.toThrow('fetch failed');
});

test('two clicks at the same time leave one listener', async () => {
  await using demo = await startDemo();
  const urls = await Promise.all([demo.open(), demo.open()]);
  const results = await Promise.allSettled(urls.map((url) => fetch(url.origin)));
  expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
});

test('the listener closes after its time', async () => {
  await using demo = await startDemo({ phone: { findAddress: () => PHONE_ADDRESS, lifetimeMs: 1_000 } });
  const url = await demo.open();
  const socket = openSocket(url, await enter(url));
  await once(socket, 'open');
  await once(socket, 'close');
  await expect.poll(demo.readState).toEqual({ isAvailable: true });
});

test('strangers keep a bounded number of connections, and none from the phone', async () => {
  await using demo = await startDemo();
  const url = await demo.open();
  const phone = openSocket(url, await enter(url));
  await once(phone, 'open');
  let closedCount = 0;
  const strangers = Array.from({ length: 80 }, () => {
    const socket = connect({ host: url.hostname, port: Number(url.port) });
    return socket.on('error', () => undefined).on('close', () => (closedCount += 1));
  });
  await expect.poll(() => closedCount).toBe(48);
  expect(phone.readyState).toBe(WebSocket.OPEN);
  for (const socket of strangers) socket.destroy();
  phone.terminate();
});

test.for([
  ['is in no local network', undefined],
  // Of no machine (RFC 5737).
  ['may not listen there', '192.0.2.1'],
] as const)('says that the machine %s', async ([, address]) => {
  await using demo = await startDemo({ phone: { findAddress: () => address } });
  const response = await demo.request('POST');
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({ code: 'UNAVAILABLE' });
  expect(await demo.readState()).toEqual({ isAvailable: true });
});

test('is not available where the demo accounts are locked', async () => {
  await using demo = await startDemo({ env: { DEMO: 'off' } });
  expect(await demo.readState()).toEqual({ isAvailable: false });
  expect(await demo.request('POST')).toMatchObject({ status: 403 });
});
