import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ByteLedgers } from '../../lib/byte-ledger.ts';
import { NewestFirst } from '../../lib/newest-first.ts';
import type { Logger } from '../../log.ts';
import type { Priority, TurnClock } from '../../lib/turn-clock.ts';
import { findTokenInRequest } from '../bearer-token.ts';
import type { ConnectionSlots } from '../connection-slots.ts';
import { limitChunks } from './chunk-limit.ts';
import { readConnectionsInTurns } from './new-connections.ts';
import type { HttpPolicy } from './policy.ts';
import { handleRawErrors } from './raw-errors.ts';
import { headerIncludes, pathOf } from './request-head.ts';
import { sendHttpError } from './respond.ts';
import type { HttpErrorResponse } from './respond.ts';
import { createRouter } from './router.ts';
import type { Route } from './router.ts';
import { SerialRequests } from './serial-requests.ts';

/** Added to KEEP_ALIVE_MS, so that a client that reuses a connection just before the timeout finds it open. */
const KEEP_ALIVE_BUFFER_MS = 1_000;
const HEADERS_TIMEOUT_MS = 20_000;
/** At this limit, 1 MB takes 34 KB/s. */
const BODY_TIMEOUT_MS = 30_000;
const REQUEST_TIMEOUT_MS = 600_000;
const STALL_TIMEOUT_MS = 120_000;
/** Slowest upload that must be able to finish, 16 KB/s: a phone with a weak signal. */
const MIN_UPLOAD_BYTES_PER_MS = 16;

/** Longest time between two checks for headers and requests that did not arrive in time. */
const MAX_CHECK_INTERVAL_MS = 30_000;
/** Checks per timeout. */
const TIMEOUT_CHECKS = 6;

export interface HttpTimeouts {
  /** Idle time between two requests. */
  readonly keepAliveMs: number;
  /** Time for the headers of a request, and idle time of a new connection before its first request. */
  readonly headersMs: number;
  /** Time for the body of a request to arrive, unless it is an upload. */
  readonly bodyMs: number;
  /** Time for a whole request to arrive. */
  readonly requestMs: number;
  /** Time without a byte in either direction while a request is in flight. */
  readonly stalledMs: number;
}

interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

/** Until its token or its Engine.IO session is known, a request that names one counts as one of an account. */
const priorityOf = (request: IncomingMessage): Priority =>
  findTokenInRequest(request) === undefined && !/[?&]sid=/.test(request.url ?? '') ? 'anonymous' : 'account';

/** Shared by all sockets: a listener for each would be kept as long as its WebSocket. */
function destroyThis(this: Duplex): void {
  this.destroy();
}

/** Responds with an error before the body has arrived, and closes the connection. What arrived is dropped with it. */
function endBody(response: ServerResponse, error: HttpErrorResponse): void {
  const { socket } = response.req;
  if (response.headersSent) return void socket.destroy();
  response.shouldKeepAlive = false;
  response.once('finish', () => socket.destroy());
  sendHttpError(response, error);
}

const BODY_TIMEOUT: HttpErrorResponse = {
  status: 408,
  code: 'INVALID_INPUT',
  message: 'The request body did not arrive in time.',
};

const TOO_MANY_CHUNKS: HttpErrorResponse = {
  status: 413,
  code: 'LIMIT_EXCEEDED',
  message: 'The request body has too many small chunks.',
};

/**
 * Derives the timeouts from the keep-alive timeout and the largest upload. Each is long enough for the others: the
 * request timeout for the slowest upload and its headers, the stall timeout for the headers.
 */
export function timeoutsFor(keepAliveMs: number, maxUploadBytes: number): HttpTimeouts {
  // Load balancers open connections in advance; Node applies the headers timeout to them until their first request.
  const headersMs = Math.max(HEADERS_TIMEOUT_MS, keepAliveMs + 2 * KEEP_ALIVE_BUFFER_MS);
  return {
    keepAliveMs,
    headersMs,
    bodyMs: BODY_TIMEOUT_MS,
    requestMs: Math.max(REQUEST_TIMEOUT_MS, headersMs, maxUploadBytes / MIN_UPLOAD_BYTES_PER_MS),
    stalledMs: Math.max(STALL_TIMEOUT_MS, headersMs),
  };
}

export interface HttpServer {
  readonly server: Server;
  /**
   * Closes each connection after its next response, and says so in its header, so that the client connects to another node.
   * Those of sessions stay, as other nodes do not know the session.
   */
  drain(): void;
  /** Resolves when the requests that are in flight have their responses. */
  whenIdle(): Promise<void>;
  /** Stops listening and closes each connection after its responses. Resolves when all are closed. */
  close(): Promise<void>;
  /** Destroys every connection, upgraded ones included, which Node's server no longer tracks. */
  destroyConnections(): void;
}

export interface HttpServerOptions {
  readonly routes: readonly Route[];
  readonly policy: HttpPolicy;
  readonly connectionSlots: ConnectionSlots;
  readonly timeouts: HttpTimeouts;
  readonly turnClock: TurnClock;
  readonly inboundLedgers: ByteLedgers['inbound'];
  /**
   * Called after each response and each refused upgrade, with the path of its route, or `unknown`. Without a status, the
   * connection ended before the response.
   */
  readonly onResponse: (route: string, status: number | undefined) => void;
  readonly log: Logger;
}

/**
 * Creates the HTTP server, with the only `upgrade` listener: Node calls all of them for each upgrade, so a second one
 * would handle the same sockets.
 */
export function createHttpServer({
  routes,
  policy,
  connectionSlots,
  timeouts,
  turnClock,
  inboundLedgers,
  onResponse,
  log,
}: HttpServerOptions): HttpServer {
  const router = createRouter(routes, policy, onResponse);
  const handleInTurn = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (turnClock.isOver()) await turnClock.nextTurn(priorityOf(request));
    if (!response.closed) await router.handle(request, response);
  };
  let isDraining = false;
  let isClosing = false;
  /** When each request in flight was received. */
  const receivedAt = new Map<ServerResponse, number>();
  const requests = new SerialRequests((request, response) => {
    if (isDraining) closeAfter(response);
    receivedAt.set(response, performance.now());
    response.once('close', () => {
      receivedAt.delete(response);
      onResponse(router.routeOf(request), response.headersSent ? response.statusCode : undefined);
      // `server.close()` closes idle connections only once: those that become idle later are closed here.
      if (isClosing) setImmediate(() => server.closeIdleConnections());
    });
    handleInTurn(request, response).catch((error: unknown) => {
      log.error({ err: error, path: pathOf(request) }, 'request failed');
      if (response.headersSent) response.destroy();
      else sendHttpError(response, { status: 500, code: 'INTERNAL', message: 'Unexpected error.' });
    });
  }, inboundLedgers);
  /** `Connection: close` keeps the client from reusing a connection that is about to close. */
  const closeAfter = (response: ServerResponse): void => {
    const { socket } = response.req;
    if (response.headersSent) response.once('close', () => socket.destroySoon());
    else if (!router.isOfSession(response.req)) response.shouldKeepAlive = false;
  };
  const receive = (request: IncomingMessage, response: ServerResponse): void => {
    limitChunks(request, response, () => endBody(response, TOO_MANY_CHUNKS));
    requests.receive(request, response);
  };
  const server = createServer(
    {
      keepAliveTimeout: timeouts.keepAliveMs,
      keepAliveTimeoutBuffer: KEEP_ALIVE_BUFFER_MS,
      headersTimeout: timeouts.headersMs,
      requestTimeout: timeouts.requestMs,
      connectionsCheckingInterval: Math.min(MAX_CHECK_INTERVAL_MS, timeouts.headersMs / 2),
      // The router responds to a request without one.
      requireHostHeader: false,
      // Some clients offer `Upgrade: h2c` with their first request; it is served as plain HTTP/1.1.
      shouldUpgradeCallback: ({ headers }) => headerIncludes(headers.upgrade, 'websocket'),
    },
    receive,
  );
  const unreadConnections = readConnectionsInTurns(server, turnClock, connectionSlots);
  // Node would respond itself to values other than `100-continue`.
  server.on('checkExpectation', receive);
  handleRawErrors(server, { policy, hasResponse: (socket) => requests.hasResponse(socket) });
  const endSlowBodies = (): void => {
    const now = performance.now();
    for (const [response, time] of receivedAt) {
      // In the order of arrival.
      if (now - time <= timeouts.bodyMs) return;
      if (!response.req.complete && !router.isUpload(response.req)) endBody(response, BODY_TIMEOUT);
    }
  };
  const bodyTimer = setInterval(endSlowBodies, timeouts.bodyMs / TIMEOUT_CHECKS).unref();
  server.once('close', () => clearInterval(bodyTimer));
  // Destroys idle sockets. `ws` resets the timeout of its own.
  server.setTimeout(timeouts.stalledMs);
  const guardUpgrade = ({ request, socket }: Upgrade, work: () => void): void => {
    try {
      work();
    } catch (error) {
      log.error({ err: error, path: pathOf(request) }, 'upgrade failed');
      socket.destroy();
    }
  };
  const createUpgrades = (priority: Priority): NewestFirst<Upgrade> =>
    new NewestFirst(
      turnClock,
      priority,
      ({ socket }) => socket.destroyed,
      (upgrade) => guardUpgrade(upgrade, () => router.upgrade(upgrade.request, upgrade.socket, upgrade.head)),
    );
  const upgrades = { account: createUpgrades('account'), anonymous: createUpgrades('anonymous') };
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', destroyThis);
    const upgrade = { request, socket, head };
    guardUpgrade(upgrade, () => upgrades[priorityOf(request)].add(upgrade));
  });
  // A client that waits to be read, or upgraded, has no other timeout.
  const destroyUnserved = (): void => {
    for (const socket of unreadConnections.takeOlderThan(timeouts.headersMs)) socket.destroy();
    for (const waiting of Object.values(upgrades))
      for (const { socket } of waiting.takeOlderThan(timeouts.headersMs)) socket.destroy();
  };
  const waitTimer = setInterval(destroyUnserved, timeouts.headersMs / TIMEOUT_CHECKS).unref();
  server.once('close', () => clearInterval(waitTimer));
  return {
    server,
    drain() {
      isDraining = true;
      for (const response of receivedAt.keys()) closeAfter(response);
    },
    async whenIdle() {
      await unreadConnections.whenEmpty();
      // Their requests are received in the next turn.
      await nextTurn();
      await Promise.all([...receivedAt.keys()].map((response) => once(response, 'close')));
    },
    close() {
      isClosing = true;
      for (const response of receivedAt.keys()) response.shouldKeepAlive = false;
      return new Promise((resolve) => void server.close(() => resolve()));
    },
    destroyConnections: () => connectionSlots.destroyAll(),
  };
}
