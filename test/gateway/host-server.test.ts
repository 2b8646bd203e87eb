import { once } from 'node:events';
import { Agent, createServer, request as sendRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { WebSocketServer, WebSocket } from 'ws';
import { embedApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createLogger } from '../../src/log.ts';
import { connectLegacy } from '../../src/testing/index.ts';
import { openTestDatabase } from '../harness/database.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { startHostApp } from '../harness/host-app.ts';

const read = async (url: string, init?: RequestInit): Promise<[status: number, text: string]> => {
  const response = await fetch(url, init);
  return [response.status, await response.text()];
};

test('requests outside the routes of the gateway reach the host, those inside do not', async () => {
  await using host = await startHostApp();
  const seen: (string | undefined)[] = [];
  // A listener that is added later sees the same.
  host.server.on('request', (request) => seen.push(request.url));
  for (const path of [
    '/',
    '/graphql2',
    '/metrics',
    '/healthz',
    '/socket.iox',
    '/page/page.js',
    '/admin/graphql',
  ])
    expect(await read(host.url + path)).toEqual([200, `host ${path}`]);
  const hostPaths = [...seen];
  expect(hostPaths).toHaveLength(7);
  for (const path of [
    '/graphql?query={__typename}',
    '/graphql/?query={__typename}',
    '//graphql?query={__typename}',
  ])
    expect(await read(host.url + path)).toEqual([200, expect.stringContaining('"Query"') as string]);
  expect((await read(`${host.url}/media/1`))[0]).toBe(401);
  expect(seen).toEqual(hostPaths);
});

test('subscriptions, legacy clients and uploads that wait for 100 Continue work on the server of the host', async () => {
  await using host = await startHostApp();
  const ann = await host.createClient();
  const { createCircle } = await ann.run<{ createCircle: { id: string } }>(
    'mutation { createCircle(name: "A") { id } }',
  );
  await using events = ann.subscribe(
    `subscription { circleEvents(circleId: "${createCircle.id}") { __typename } }`,
  );
  await events.nextOf('StreamLive');
  await ann.run(`mutation { updateCircle(circleId: "${createCircle.id}", name: "B") { id } }`);
  await events.nextOf('CircleUpdated');
  for (const transport of ['polling', 'websocket'] as const) {
    await using legacyClient = await connectLegacy(host.url, { transports: [transport] });
    await legacyClient.push('authenticate', { token: ann.token });
  }
  const upload = sendRequest(`${host.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', expect: '100-continue' },
  });
  upload.on('continue', () => upload.end('{"query":"{ __typename }"}'));
  // Makes Node emit `checkContinue` instead of responding.
  host.server.on('checkContinue', (_request, response) => void response.writeHead(417).end());
  upload.flushHeaders();
  const [response] = (await once(upload, 'response')) as [IncomingMessage];
  expect(response.statusCode).toBe(200);
  response.resume();
});

test('an upgrade of the host is a plain request without its listeners, and reaches them otherwise', async () => {
  await using host = await startHostApp();
  const offer = async (): Promise<number> => {
    const socket = new WebSocket(`${host.url.replace('http', 'ws')}/chat`);
    return new Promise((resolve) => {
      socket.on('open', () => resolve(101));
      socket.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
      socket.on('error', () => resolve(0));
      void once(socket, 'open').then(
        () => socket.close(),
        () => undefined,
      );
    });
  };
  expect(await offer()).toBe(200);
  const sockets = new WebSocketServer({ noServer: true });
  host.server.on('upgrade', (request, socket, head) =>
    sockets.handleUpgrade(request, socket, head, (accepted) => accepted.send(String(request.url))),
  );
  expect(await offer()).toBe(101);
  await using gatewaySocket = await openGraphqlSocket(host.url, {});
  expect(gatewaySocket.socket.readyState).toBe(WebSocket.OPEN);
});

test('closing the gateway ends its WebSockets, and leaves the server and its connections as they were', async () => {
  await using host = await startHostApp();
  const sockets = new WebSocketServer({ noServer: true });
  host.server.on('upgrade', (request, socket, head) => {
    if (request.url === '/chat') sockets.handleUpgrade(request, socket, head, () => undefined);
  });
  const hostSocket = new WebSocket(`${host.url.replace('http', 'ws')}/chat`);
  await once(hostSocket, 'open');
  await using gatewaySocket = await openGraphqlSocket(host.url, {});
  // One connection for requests to both.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const get = async (path: string): Promise<{ text: string; port: number | undefined }> => {
    const [response] = (await once(sendRequest(host.url + path, { agent }).end(), 'response')) as [
      IncomingMessage,
    ];
    const { localPort: port } = response.socket;
    return { text: Buffer.concat(await response.toArray()).toString(), port };
  };
  const before = [await get('/graphql?query={__typename}'), await get('/')];
  expect(before[0]?.port).toBe(before[1]?.port);

  await host.app[Symbol.asyncDispose]();
  expect(await gatewaySocket.waitForClose()).toMatchObject({ code: 1012 });
  expect(await get('/graphql')).toEqual({ text: 'host /graphql', port: before[0]?.port });
  expect(hostSocket.readyState).toBe(WebSocket.OPEN);
  expect(Object.hasOwn(host.server, 'emit')).toBe(false);
  expect(host.server.listenerCount('upgrade')).toBe(1);
  hostSocket.terminate();
  agent.destroy();
});

test('two gateways serve on one server, and close in either order', async () => {
  await using host = await startHostApp({ routes: ['graphql'] });
  const second = await embedApp(
    {
      config: readConfig({ DATA_DIR: 'memory', LOG_LEVEL: 'silent', DEMO: 'off' }),
      log: createLogger('silent'),
      database: await openTestDatabase(),
      routes: ['health'],
    },
    host.server,
  );
  expect((await read(`${host.url}/healthz`))[0]).toBe(200);
  await host.app[Symbol.asyncDispose]();
  expect(await read(`${host.url}/graphql`)).toEqual([200, 'host /graphql']);
  expect(await read(`${host.url}/healthz`)).toEqual([200, '{"state":"alive"}']);
  await second[Symbol.asyncDispose]();
  expect(await read(`${host.url}/healthz`)).toEqual([200, 'host /healthz']);
});

test('a body that is sent in many small chunks is refused on the server of the host', async () => {
  await using host = await startHostApp();
  const request = sendRequest(`${host.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  });
  request.on('error', () => undefined);
  for (let index = 0; index < 2_000; index += 1) request.write(' ');
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  expect(response.statusCode).toBe(413);
  request.destroy();
});

test('a server without the option of upgrades is refused', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  expect((server.address() as AddressInfo).port).toBeGreaterThan(0);
  Object.assign(server, { shouldUpgradeCallback: undefined });
  await expect(
    embedApp(
      {
        config: readConfig({ DATA_DIR: 'memory', LOG_LEVEL: 'silent', DEMO: 'off' }),
        log: createLogger('silent'),
        database: await openTestDatabase(),
      },
      server,
    ),
  ).rejects.toThrow('Node 24.9 or newer');
  server.close();
});
