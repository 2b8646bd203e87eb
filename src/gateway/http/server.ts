import { createServer } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from '../../log.ts';
import type { Cors } from './cors.ts';
import { lists, pathOf } from './request-head.ts';
import { sendRefusal } from './respond.ts';
import { createRouter } from './router.ts';
import type { Route } from './router.ts';

/** Added to KEEP_ALIVE_MS, so that a client that reuses a connection at its very end does not find it closing. */
const KEEP_ALIVE_BUFFER_MS = 1_000;
const HEADERS_TIMEOUT_MS = 20_000;
const REQUEST_TIMEOUT_MS = 600_000;
const STALLED_MS = 120_000;
/** The slowest upload that may take as long as it needs: a phone at the edge of its network. */
const MIN_UPLOAD_BYTES_PER_MS = 16;

/** Requests that a client may send on one connection without having got an answer. No browser sends two. */
const MAX_PIPELINED = 100;

/** Counts what is asked on each connection and not answered yet. */
function createPipelines() {
  const pending = new WeakMap<Socket, number>();
  return (socket: Socket, response: ServerResponse): boolean => {
    const count = (pending.get(socket) ?? 0) + 1;
    pending.set(socket, count);
    response.once('close', () => pending.set(socket, (pending.get(socket) ?? 1) - 1));
    return count > MAX_PIPELINED;
  };
}

export interface HttpTimeouts {
  /** How long a connection may be idle between two requests. */
  readonly keepAliveMs: number;
  /** How long the headers of a request may take, and a new connection may be idle before its first request. */
  readonly headersMs: number;
  /** How long a whole request may take to arrive. */
  readonly requestMs: number;
  /** How long a connection with a request in flight may pass no byte in either direction. */
  readonly stalledMs: number;
}

/** The timeouts that go with a keep-alive timeout and a largest upload: none may cut what another one allows. */
export function timeoutsFor(keepAliveMs: number, maxUploadBytes: number): HttpTimeouts {
  // Balancers also keep connections open that they have not used yet, which Node cuts by this timeout.
  const headersMs = Math.max(HEADERS_TIMEOUT_MS, keepAliveMs + 2 * KEEP_ALIVE_BUFFER_MS);
  return {
    keepAliveMs,
    headersMs,
    requestMs: Math.max(REQUEST_TIMEOUT_MS, headersMs, maxUploadBytes / MIN_UPLOAD_BYTES_PER_MS),
    stalledMs: Math.max(STALLED_MS, headersMs),
  };
}

export interface HttpServer {
  readonly server: Server;
  /** Accepts no more connections, and closes each of those there are once its requests are answered. Resolves when all are closed. */
  close(): Promise<void>;
  /** Cuts every connection, those that were upgraded too: the server itself forgets them. */
  cut(): void;
}

/**
 * The one HTTP server and the only owner of `upgrade`: two would answer each other's sockets. Every request goes to
 * the first route that fits its path.
 */
export function createHttpServer(
  routes: readonly Route[],
  origins: Cors,
  timeouts: HttpTimeouts,
  log: Logger,
): HttpServer {
  const router = createRouter(routes, origins);
  const isTooMany = createPipelines();
  let isClosing = false;
  const responses = new Set<ServerResponse>();
  const server = createServer(
    {
      keepAliveTimeout: timeouts.keepAliveMs,
      keepAliveTimeoutBuffer: KEEP_ALIVE_BUFFER_MS,
      headersTimeout: timeouts.headersMs,
      requestTimeout: timeouts.requestMs,
      // Some clients offer HTTP/2 this way with their first request, which is to be answered all the same.
      shouldUpgradeCallback: ({ headers }) => lists(headers.upgrade, 'websocket'),
    },
    (request, response) => {
      if (isTooMany(request.socket, response)) return void request.socket.destroy();
      // A client must not send its next request on a connection that is about to close.
      if (isClosing) response.shouldKeepAlive = false;
      responses.add(response);
      response.once('close', () => {
        responses.delete(response);
        // Node closes those that are idle when the server is closed, and leaves those that become idle later open.
        if (isClosing) setImmediate(() => server.closeIdleConnections());
      });
      router.serve(request, response).catch((error: unknown) => {
        log.error({ err: error, path: pathOf(request) }, 'request failed');
        if (response.headersSent) response.destroy();
        else sendRefusal(response, { status: 500, code: 'INTERNAL', message: 'Unexpected error.' });
      });
    },
  );
  // Of connections without listeners for it: `ws` turns it off for its own.
  server.setTimeout(timeouts.stalledMs);
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    try {
      router.upgrade(request, socket, head);
    } catch (error) {
      log.error({ err: error, path: pathOf(request) }, 'upgrade failed');
      socket.destroy();
    }
  });
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return {
    server,
    close() {
      isClosing = true;
      for (const response of responses) response.shouldKeepAlive = false;
      return new Promise((resolve) => void server.close(() => resolve()));
    },
    cut() {
      for (const socket of sockets) socket.destroy();
    },
  };
}
