import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ConnectionSlots } from '../connection-slots.ts';
import { readConnectionsInTurns } from './new-connections.ts';
import { handleRawErrors } from './raw-errors.ts';
import { headerIncludes } from './request-head.ts';
import { createRequests } from './requests.ts';
import type { RequestsOptions } from './requests.ts';
import { KEEP_ALIVE_BUFFER_MS } from './timeouts.ts';

/** Longest time between two checks for headers and requests that did not arrive in time. */
const MAX_CHECK_INTERVAL_MS = 30_000;
/** Checks per timeout. */
const TIMEOUT_CHECKS = 6;

/** The HTTP side of a gateway, for its drain. */
export interface HttpDrain {
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

export interface HttpServer extends HttpDrain {
  readonly server: Server;
}

export interface HttpServerOptions extends RequestsOptions {
  readonly connectionSlots: ConnectionSlots;
}

/**
 * Creates the HTTP server, with the only `upgrade` listener: Node calls all of them for each upgrade, so a second one
 * would handle the same sockets.
 */
export function createHttpServer({ connectionSlots, ...options }: HttpServerOptions): HttpServer {
  const { policy, timeouts, turnClock } = options;
  let isClosing = false;
  const requests = createRequests({
    ...options,
    onResponse(route, status) {
      options.onResponse(route, status);
      // `server.close()` closes idle connections only once: those that become idle later are closed here.
      if (isClosing) setImmediate(() => server.closeIdleConnections());
    },
  });
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
    requests.receive,
  );
  const unreadConnections = readConnectionsInTurns(server, turnClock, connectionSlots);
  // Node would respond itself to values other than `100-continue`.
  server.on('checkExpectation', requests.receive);
  handleRawErrors(server, { policy, hasResponse: requests.hasResponse });
  // Destroys idle sockets. `ws` resets the timeout of its own.
  server.setTimeout(timeouts.stalledMs);
  server.on('upgrade', requests.upgrade);
  // A client that waits to be read has no other timeout.
  const destroyUnread = (): void => {
    for (const socket of unreadConnections.takeOlderThan(timeouts.headersMs)) socket.destroy();
  };
  const waitTimer = setInterval(destroyUnread, timeouts.headersMs / TIMEOUT_CHECKS).unref();
  server.once('close', () => {
    clearInterval(waitTimer);
    requests.stop();
  });
  return {
    server,
    drain: requests.drain,
    async whenIdle() {
      await unreadConnections.whenEmpty();
      // Their requests are received in the next turn.
      await nextTurn();
      await requests.whenIdle();
    },
    close() {
      isClosing = true;
      requests.endKeepAlive();
      return new Promise((resolve) => void server.close(() => resolve()));
    },
    destroyConnections: () => connectionSlots.destroyAll(),
  };
}
