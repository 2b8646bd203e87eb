import { once } from 'node:events';
import { Agent, request } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { ConnectionSlots } from '../../src/gateway/connection-slots.ts';
import { createHttpServer, timeoutsFor } from '../../src/gateway/http/server.ts';
import type { HttpServer, HttpTimeouts } from '../../src/gateway/http/server.ts';
import { createHttpPolicy } from '../../src/gateway/http/policy.ts';
import { pingWhenDue } from '../../src/gateway/websocket/keep-alive.ts';
import { readConfig } from '../../src/config.ts';
import type { Route } from '../../src/gateway/http/router.ts';
import { createByteLedgers } from '../../src/lib/byte-ledger.ts';
import { TurnClock } from '../../src/lib/turn-clock.ts';
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
    inboundLedgers: createByteLedgers(() => undefined).inbound,
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

test('upgrades wait for their turn, and those whose client has left meanwhile are dropped', async () => {
  const waiting: (() => void)[] = [];
  class BusyClock extends TurnClock {
    override isOver(): boolean {
      return true;
    }
    override nextTurn(): Promise<void> {
      return new Promise((resolve) => waiting.push(resolve));
    }
  }
  const upgraded: string[] = [];
  const route: Route = {
    path: '/socket',
    handle: () => undefined,
    upgrade(request, socket) {
      upgraded.push(String(request.headers['x-name']));
      socket.end();
    },
  };
  const { server, close } = createServerOf(route, timeoutsFor(75_000, 1), new BusyClock());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const request = async (name: string) => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const received = once(server, 'upgrade');
    socket.write(
      `GET /socket HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Name: ${name}\r\n\r\n`,
    );
    const [, serverSocket] = (await received) as [IncomingMessage, Socket];
    return { socket, serverSocket };
  };
  const leaving = await request('leaving');
  const staying = await request('staying');
  leaving.socket.resetAndDestroy();
  await new Promise((resolve) => leaving.serverSocket.once('close', resolve));
  expect(upgraded).toEqual([]);
  for (const resume of waiting) resume();
  await text(staying.socket);
  expect(upgraded).toEqual(['staying']);
  await close();
});
