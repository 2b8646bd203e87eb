import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { TestGateway } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';

const request = (
  app: TestGateway,
  origin: string | undefined,
  path = '/graphql?query={__typename}',
  { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
) =>
  fetch(app.url + path, {
    method,
    headers: { ...headers, ...(origin === undefined ? {} : { origin }) },
  });

/** Returns whether a page of the origin may open each kind of connection. */
async function canConnect(app: TestGateway, origin: string): Promise<boolean[]> {
  const sockets = ['/graphql', '/socket.io/?EIO=4&transport=websocket'].map(
    (path) =>
      new Promise<boolean>((resolve) => {
        const socket = new WebSocket(app.url.replace('http', 'ws') + path, 'graphql-transport-ws', {
          origin,
        });
        socket.once('open', () => resolve(true)).once('error', () => resolve(false));
        socket.on('open', () => socket.terminate());
      }),
  );
  const polling = await request(app, origin, '/socket.io/?EIO=4&transport=polling');
  return [(await request(app, origin)).ok, polling.ok, ...(await Promise.all(sockets))];
}

test('origins are allowed in any listed form, on every transport', async () => {
  await using app = await startTestApp({
    env: {
      CORS_ORIGINS:
        '"HTTPS://App.example.com:443/", http://localhost:5173 ,https://bücher.example,capacitor://localhost,null,',
    },
  });
  const everyTransport = [true, true, true, true];
  for (const origin of [
    'https://app.example.com',
    'http://localhost:5173',
    'https://xn--bcher-kva.example',
    'capacitor://localhost',
    'null',
    app.url,
    app.url.replace('http', 'ws'),
  ])
    expect(await canConnect(app, origin), origin).toEqual(everyTransport);
  for (const origin of [
    'http://app.example.com',
    'https://app.example.com:8443',
    'https://app.example.com.evil.example',
    'https://evil.example',
    'file://',
    'nonsense',
  ])
    expect(await canConnect(app, origin), origin).toEqual(everyTransport.map(() => false));
});

test('a page of an allowed origin can read the exposed headers, with credentials; a page of another origin cannot', async () => {
  await using app = await startTestApp({ env: { CORS_ORIGINS: 'https://app.example.com' } });
  const { headers } = await request(app, 'https://app.example.com');
  expect(headers.get('access-control-allow-origin')).toBe('https://app.example.com');
  expect(headers.get('access-control-allow-credentials')).toBe('true');
  for (const name of ['www-authenticate', 'retry-after', 'etag', 'content-disposition', 'content-range'])
    expect(headers.get('access-control-expose-headers')?.split(', ')).toContain(name);
  const response = await request(app, 'https://evil.example');
  expect(response.status).toBe(403);
  expect(response.headers.get('access-control-allow-origin')).toBeNull();
});

test.each(['', '*'])('with CORS_ORIGINS=%s any origin is allowed, without credentials', async (list) => {
  await using app = await startTestApp({ env: { CORS_ORIGINS: list } });
  for (const origin of ['https://any.example', 'null', 'file://']) {
    expect(await canConnect(app, origin), origin).toEqual([true, true, true, true]);
    const { headers } = await request(app, origin);
    expect(headers.get('access-control-allow-origin')).toBe(origin);
    expect(headers.get('access-control-allow-credentials')).toBeNull();
  }
});

test('responses have `Vary: Origin`, also for requests without an origin', async () => {
  await using app = await startTestApp();
  for (const path of [
    '/',
    '/page/style.css',
    '/graphql?query={__typename}',
    '/healthz',
    '/media/1',
    '/nothing',
  ])
    for (const origin of [undefined, 'https://any.example'])
      expect((await request(app, origin, path)).headers.get('vary')?.toLowerCase(), path).toContain('origin');
});

test('a preflight and the request after it succeed on every path', async () => {
  await using app = await startTestApp();
  for (const [path, method] of [
    ['/graphql', 'POST'],
    ['/media/1', 'GET'],
    ['/media/upload/1', 'POST'],
    ['/media/resumable/1', 'PATCH'],
    ['/nothing', 'POST'],
  ] as const) {
    const preflight = await request(app, 'https://any.example', path, {
      method: 'OPTIONS',
      headers: {
        'access-control-request-method': method,
        'access-control-request-headers': 'x-mine, authorization',
      },
    });
    expect(preflight.status, path).toBe(204);
    expect(preflight.headers.get('access-control-allow-methods')?.split(', '), path).toContain(method);
    expect(preflight.headers.get('access-control-allow-headers'), path).toBe('x-mine, authorization');
    const { headers } = await request(app, 'https://any.example', path, { method });
    expect(headers.get('access-control-allow-origin'), path).toBe('https://any.example');
  }
});
