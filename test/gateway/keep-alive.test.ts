import { once } from 'node:events';
import { Agent, request } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { ConnectionSlots } from '../../src/gateway/connection-slots.ts';
import { createHttpServer } from '../../src/gateway/http/server.ts';
import { timeoutsFor } from '../../src/gateway/http/timeouts.ts';
import type { HttpServer } from '../../src/gateway/http/server.ts';
import type { HttpTimeouts } from '../../src/gateway/http/timeouts.ts';
import { createHttpPolicy } from '../../src/gateway/http/policy.ts';
import { pingWhenDue } from '../../src/gateway/websocket/keep-alive.ts';
import { readConfig } from '../../src/config.ts';
import type { Route } from '../../src/gateway/http/router.ts';
import { createByteLedgers } from '../../src/lib/byte-ledger.ts';
import { TurnClock } from '../../src/lib/turn-clock.ts';
import { BusyClock } from '../harness/busy-clock.ts';
import { createLogger } from '../../src/log.ts';
import { startTestApp } from '../harness/app.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import type { GraphqlSocket } from '../harness/graphql-socket.ts';
import { pause } from '../harness/waiting.ts';

/** Posts an operation over the agent's connection pool. */
async function post(
  url: string,
  agent: Agent,
): Promise<{ clientRequest: ClientRequest; response: IncomingMessage }> {
  const headers = { 'content-type': 'application/json' };
  const clientRequest = request(`${url}/graphql`, { method: 'POST', agent, headers });
  clientRequest.end('{"query":"{ __typename }"}');
  const [response] = (await once(clientRequest, 'response')) as [IncomingMessage];
  await text(response);
  return { clientRequest, response };
}

test('an idle connection outlives the idle timeouts of load balancers', async () => {
  await using app = await startTestApp();
  const agent = new Agent({ keepAlive: true });
  const first = await post(app.url, agent);
  // In seconds; clients use it too.
  expect(first.response.headers['keep-alive']).toBe('timeout=75');
  const second = await post(app.url, agent);
  expect(second.clientRequest.reusedSocket).toBe(true);
  agent.destroy();
});

test('KEEP_ALIVE_MS is the idle time after which a connection is closed', async () => {
  await using app = await startTestApp({ env: { KEEP_ALIVE_MS: '100' } });
  const { hostname, port } = new URL(app.url);
  const socket = connect(Number(port), hostname);
  socket.write('GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n');
  expect(await text(socket)).toContain('"alive"');
});

test('no timeout is shorter than one that it includes', () => {
  for (const keepAliveMs of [1, 75_000, 620_000, 3_600_000]) {
    const { headersMs, requestMs, stalledMs } = timeoutsFor(keepAliveMs, 1);
    expect(headersMs).toBeGreaterThan(keepAliveMs);
    expect(requestMs).toBeGreaterThanOrEqual(headersMs);
    expect(stalledMs).toBeGreaterThanOrEqual(headersMs);
  }
  const gibibyte = 1024 ** 3;
  const bytesPerSecond = 20_000;
  expect(timeoutsFor(75_000, gibibyte).requestMs).toBeGreaterThan((gibibyte / bytesPerSecond) * 1000);
});

function createServerOf(route: Route, timeouts: HttpTimeouts, turnClock = new TurnClock()): HttpServer {
  return createHttpServer({
    routes: [route],
    policy: createHttpPolicy(readConfig({})),
    connectionSlots: new ConnectionSlots({ max: 100, isProxy: () => false, onRefused: () => undefined }),
    timeouts,
    turnClock,
    findKnownAccount: () => undefined,
    inboundLedgers: createByteLedgers({ onEvicted: () => undefined }).inbound,
    onResponse: () => undefined,
    log: createLogger('silent'),
  });
}

test('a response in flight when the server stops has `Connection: close`', async () => {
  const { promise: blocked, resolve: release } = Promise.withResolvers<void>();
  const slowRoute: Route = {
    path: '/slow',
    handle: (_request, response) => blocked.then(() => void response.end('done')),
  };
  const timeouts = timeoutsFor(75_000, 1);
  const { server, close } = createServerOf(slowRoute, timeouts);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const responseText = text(socket);
  const requestReceived = once(server, 'request');
  socket.write('GET /slow HTTP/1.1\r\nHost: test\r\n\r\n');
  await requestReceived;
  const closing = close();
  release();
  await closing;
  expect((await responseText).toLowerCase()).toMatch(/^http\/1.1 200 ok\r\n(?:.+\r\n)*connection: close\r\n/);
});

test('a client that stops reading its response is disconnected, and one that reads slowly is not', async () => {
  const bigRoute: Route = {
    path: '/big',
    handle: (_request, response) => void response.end(Buffer.alloc(64 * 1024 * 1024)),
  };
  const timeouts = { ...timeoutsFor(75_000, 1), stalledMs: 300 };
  const { server, destroyConnections } = createServerOf(bigRoute, timeouts);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const openDownload = () => {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    socket.write('GET /big HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n');
    return socket;
  };
  const countConnections = () =>
    new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count)));

  const stalledSocket = openDownload().pause();
  await once(stalledSocket, 'connect');
  await expect.poll(countConnections, { timeout: 10_000 }).toBe(0);
  stalledSocket.destroy();

  let received = 0;
  const slowSocket = openDownload();
  slowSocket.on('data', (chunk: Buffer) => {
    received += chunk.length;
    slowSocket.pause();
    void pause(1).then(() => slowSocket.resume());
  });
  await once(slowSocket, 'close');
  expect(received).toBeGreaterThan(64 * 1024 * 1024);
  destroyConnections();
  server.close();
});

test('a body that does not arrive in time ends its connection with 408, unless it is an upload', async () => {
  const route: Route = {
    path: '/body',
    methods: ['POST'],
    isUpload: ({ headers }) => headers['content-type'] === 'multipart/form-data',
    async handle(request, response) {
      const body = await text(request);
      response.end(`received ${body.length}`);
    },
  };
  const { server, close } = createServerOf(route, { ...timeoutsFor(75_000, 1), bodyMs: 60 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const post = (contentType: string, body: string) => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.write(
      `POST /body HTTP/1.1\r\nHost: test\r\nContent-Type: ${contentType}\r\nContent-Length: 4\r\nConnection: close\r\n\r\n${body}`,
    );
    return socket;
  };
  const upload = post('multipart/form-data', 'ab');
  expect(await text(post('application/json', 'abc'))).toMatch(
    /^HTTP\/1.1 408 .*INVALID_INPUT.*did not arrive in time/s,
  );
  upload.write('cd');
  expect(await text(upload)).toMatch(/^HTTP\/1.1 200 .*received 4/s);
  await close();
});

test('a WebSocket is pinged every 30 s, and is silent when nothing has arrived for 90 s', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const [socket] = (await once(server, 'connection')) as [WebSocket];
  let pings = 0;
  client.on('ping', () => (pings += 1));
  const times = { receivedAt: 0, pingedAt: 0 };
  const isAlive = (seconds: number) => pingWhenDue(socket, times, seconds * 1000);
  for (const seconds of [29, 30, 59, 60, 90]) expect(isAlive(seconds)).toBe(true);
  expect(isAlive(119)).toBe(true);
  expect(isAlive(120)).toBe(false);
  times.receivedAt = 31_000;
  expect(isAlive(120)).toBe(true);
  socket.close();
  await once(client, 'close');
  expect(pings).toBe(4);
  server.close();
});

test('a WebSocket without a login is closed when it has had no operation for 30 s', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'clearInterval'] });
  try {
    await using app = await startTestApp();
    const { token } = await app.createAccount();
    await using idle = await openGraphqlSocket(app.url, {});
    await using active = await openGraphqlSocket(app.url, {});
    await using account = await openGraphqlSocket(app.url, { token });
    const run = async ({ send, nextOf }: GraphqlSocket, id: string): Promise<void> => {
      send({ id, type: 'subscribe', payload: { query: '{ __typename }' } });
      await nextOf('complete');
    };
    vi.advanceTimersByTime(29_000);
    await run(active, '1');
    vi.advanceTimersByTime(2_000);
    expect(await idle.waitForClose()).toEqual({ code: 1001, reason: 'Idle' });
    await run(active, '2');
    await run(account, '1');
    vi.advanceTimersByTime(31_000);
    expect(await active.waitForClose()).toEqual({ code: 1001, reason: 'Idle' });
    await run(account, '2');
  } finally {
    vi.useRealTimers();
  }
});

/** Starts a server whose route notes the names in the `X-Name` headers of requests to it. */
async function startNotingServer(turnClock: BusyClock) {
  const received: string[] = [];
  const note = (request: IncomingMessage): number => received.push(String(request.headers['x-name']));
  const route: Route = {
    path: '/noted',
    handle(request, response) {
      note(request);
      response.end();
    },
    upgrade(request, socket) {
      note(request);
      socket.end();
    },
  };
  const { server, close } = createServerOf(route, timeoutsFor(75_000, 1), turnClock);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const open = async () => {
    const accepted = once(server, 'connection');
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const [serverSocket] = (await accepted) as [Socket];
    const send = (name: string, headers: string, onSent?: (value: unknown) => void) =>
      socket.write(`GET /noted HTTP/1.1\r\nHost: test\r\nX-Name: ${name}\r\n${headers}\r\n\r\n`, onSent);
    return { socket, serverSocket, send };
  };
  return { server, received, open, [Symbol.asyncDispose]: close };
}

test('upgrades wait for their turn, the newest first, and those whose client has left meanwhile are dropped', async () => {
  const turnClock = new BusyClock(false);
  await using server = await startNotingServer(turnClock);
  const [older, leaving, newer] = [await server.open(), await server.open(), await server.open()];
  turnClock.setBusy(true);
  for (const [name, { send }] of Object.entries({ older, leaving, newer })) {
    const received = once(server.server, 'upgrade');
    send(name, 'Connection: Upgrade\r\nUpgrade: websocket');
    await received;
  }
  leaving.socket.resetAndDestroy();
  await new Promise((resolve) => leaving.serverSocket.once('close', resolve));
  expect(server.received).toEqual([]);
  turnClock.setBusy(false);
  await Promise.all([text(older.socket), text(newer.socket)]);
  expect(server.received).toEqual(['newer', 'older']);
});

test('new connections are read in turns, the newest first, and nothing is read from one that waits', async () => {
  const turnClock = new BusyClock(true);
  await using server = await startNotingServer(turnClock);
  const [older, newer] = [await server.open(), await server.open()];
  for (const [name, { send }] of Object.entries({ older, newer }))
    await new Promise((resolve) => send(name, 'Connection: close', resolve));
  // What was sent over the loopback interface has arrived: a socket that was read from would have it after a turn.
  for (let turn = 0; turn < 2; turn += 1) await setImmediate();
  expect(turnClock.waitingCount).toBe(1);
  expect([older, newer].map(({ serverSocket }) => serverSocket.bytesRead)).toEqual([0, 0]);
  turnClock.setBusy(false);
  await Promise.all([text(older.socket), text(newer.socket)]);
  expect(server.received).toEqual(['newer', 'older']);
});
