import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { CloseCode, handleProtocols, makeServer } from 'graphql-ws';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { actorKey } from '../../actor.ts';
import { DomainError, ERROR_CODES, unauthenticated } from '../../errors.ts';
import type { EndReason } from '../../errors.ts';
import { findToken, findTokenInUpgrade } from '../bearer-token.ts';
import { codeOf } from '../execution/format-error.ts';
import type { RejectUpgrade } from '../http/raw-errors.ts';
import type { HttpErrorResponse } from '../http/respond.ts';
import type { Ports } from '../ports.ts';
import type { ListConnections } from '../../live-connections.ts';
import { limitReceiving, replyToPing, requireReceiverInternals } from '../../lib/websocket-receiver.ts';
import { pauseUnread, resumeRead, sendFrame } from './backpressure.ts';
import {
  closeWithCode,
  createConnection,
  endConnection,
  flowOf,
  releaseConnection,
  renewSession,
} from './connection.ts';
import type { WebSocketConnection } from './connection.ts';
import { acceptParsed, isUnexpectedFrame } from './graphql-ws-internals.ts';
import { releaseHeldBytes } from './held-bytes.ts';
import { InboundFrames } from './inbound-frames.ts';
import { pingWhenDue } from './keep-alive.ts';
import { LiveWebSocket } from './live-connection.ts';
import { createProtocolOptions } from './protocol.ts';
import { createSharedUserAgents } from '../user-agents.ts';
import { endSilent } from './watched-socket.ts';
import { requireWsInternals } from './ws-internals.ts';

const MAX_FRAME_BYTES = 1024 * 1024;
/** Longest time that a connection without a login may have no operation. */
const ANONYMOUS_IDLE_TIMEOUT_MS = 30_000;
/** One timer for all connections: one for each would take much of their memory. */
const CHECK_INTERVAL_MS = 1_000;
const MAX_FRAGMENTS = 1_024;
const TRANSPORT = { transport: 'graphql-ws' } as const;

export interface GraphqlSockets {
  readonly listConnections: ListConnections;
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, reject: RejectUpgrade): void;
  /**
   * Closes new connections immediately. Returns functions that each close one, once its queries and mutations have their results,
   * oldest first.
   */
  drain(): (() => void)[];
  /** Closes every connection that is left. Resolves when all are closed. */
  close(): Promise<void>;
}

/** Creates the server for GraphQL over WebSocket, subprotocol `graphql-transport-ws`. */
export function createGraphqlSockets(ports: Ports): GraphqlSockets {
  const { formatError, metrics, deps } = ports;
  const { log } = deps;
  requireWsInternals();
  requireReceiverInternals();
  const wss = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_FRAME_BYTES,
    handleProtocols,
    autoPong: false,
    maxFragments: MAX_FRAGMENTS,
  });
  const rejections = new WeakMap<IncomingMessage, RejectUpgrade>();
  wss.on('wsClientError', ({ message }, _socket, request) =>
    rejections.get(request)?.(handshakeErrorOf(request, message)),
  );
  let isDraining = false;
  const connections = new Set<WebSocketConnection>();
  const userAgentOf = createSharedUserAgents();
  const checkTimer = setInterval(() => {
    const now = performance.now();
    for (const connection of connections) {
      const { socket, operations, activeAt, liveSession } = connection;
      if (!pingWhenDue(socket, connection, now)) {
        endSilent(connection);
      } else if (
        liveSession === undefined &&
        operations.size === 0 &&
        now - activeAt > ANONYMOUS_IDLE_TIMEOUT_MS
      ) {
        connection.endReason ??= 'SILENT';
        // Code 1001, after which client libraries connect again when they have an operation.
        socket.close(1001, 'Idle');
      }
    }
  }, CHECK_INTERVAL_MS);
  checkTimer.unref();
  const protocol = makeServer(createProtocolOptions(ports));

  metrics.beforeScrape(() => {
    let [socketBytes, streamBytes] = [0, 0];
    for (const { stream, budget } of connections) {
      socketBytes += stream.writableLength;
      streamBytes += budget.reserved;
    }
    metrics.queuedBytes.set({ queue: 'socket', ...TRANSPORT }, socketBytes);
    metrics.queuedBytes.set({ queue: 'stream', ...TRANSPORT }, streamBytes);
  });

  const reportPause = (connection: WebSocketConnection): void => {
    metrics.socketPauses.inc(TRANSPORT);
    const { id, stream } = connection;
    const fields = { connection: id, ...TRANSPORT, account: accountOf(connection) };
    log.debug({ ...fields, queuedBytes: stream.writableLength }, 'socket paused');
  };

  const open = (socket: WebSocket, request: IncomingMessage): void => {
    const { socket: stream } = request;
    let handle = async (_frame: object | string): Promise<void> => undefined;
    const id = ports.nextConnectionId('ws');
    const connection = createConnection(
      {
        id,
        address: ports.addressOf(request),
        userAgent: userAgentOf(request),
        socket,
        stream,
        ledgers: ports.ledgers,
        turnEnd: ports.turnEnd,
      },
      (frame) => handle(frame),
    );
    connection.upgradeToken = findTokenInUpgrade(request);
    connections.add(connection);
    metrics.connections.inc(TRANSPORT);
    log.debug({ connection: id, ...TRANSPORT, address: connection.address }, 'connection opened');
    const fail = (error: unknown): void => {
      connection.endReason ??= 'PROTOCOL';
      if (isUnexpectedFrame(error))
        return closeWithCode(connection, CloseCode.BadRequest, 'Invalid message received');
      const code = codeOf(formatError(error)) ?? 'INTERNAL';
      if (error instanceof DomainError && error.details.limit === 'operation ids')
        deps.reportRefusal('operation ids', {
          account: connection.liveSession?.session.actor,
          address: connection.address,
        });
      const row = ERROR_CODES[code];
      closeWithCode(connection, 'close' in row ? row.close : CloseCode.InternalServerError, code);
    };
    const notifyClosed = protocol.opened(
      {
        protocol: socket.protocol,
        send: (text) => sendFrame(connection, text),
        onPing: async (payload) => {
          const reply = await renewByPing(ports, connection, payload);
          await sendFrame(
            connection,
            JSON.stringify({ type: 'pong', ...(reply !== undefined && { payload: reply }) }),
          );
        },
        close(code, reason) {
          connection.endReason ??= 'PROTOCOL';
          closeWithCode(connection, code, reason);
        },
        onMessage: (handler) => void (handle = acceptParsed(handler)),
      },
      connection,
    );
    const frames = new InboundFrames(connection, ports.turnClock, fail);
    const noteReceived = (): void => {
      connection.receivedAt = performance.now();
      if (pauseUnread(connection)) reportPause(connection);
    };
    socket.on('pong', noteReceived);
    socket.on('ping', (payload: Buffer) => {
      noteReceived();
      replyToPing(socket, payload);
    });
    socket.on('message', (data: Buffer) => {
      noteReceived();
      frames.receive(data);
    });
    limitReceiving(socket, stream, {
      turnClock: ports.turnClock,
      inflow: ports.ledgers.inflow,
      flowOf: () => flowOf(connection),
    });
    // After the listener of `ws`, which passes the data on.
    stream.on('data', () => frames.countBytes());
    stream.on('drain', () => {
      if (resumeRead(connection)) log.debug({ connection: id, ...TRANSPORT }, 'socket resumed');
    });
    socket.on('error', (error) => log.debug({ err: error, connection: id, ...TRANSPORT }, 'socket error'));
    socket.on('close', (code, reason) => {
      connections.delete(connection);
      connection.endReason ??= 'CLIENT';
      metrics.connections.dec(TRANSPORT);
      metrics.connectionEnds.inc({ ...TRANSPORT, reason: connection.endReason });
      log[connection.endReason === 'CLIENT' ? 'debug' : 'info'](
        {
          connection: id,
          ...TRANSPORT,
          account: accountOf(connection),
          code,
          reason: connection.endReason,
          durationMs: Math.round(performance.now() - connection.openedAt),
          operations: connection.operationCount,
        },
        'connection closed',
      );
      releaseConnection(connection);
      frames.clear();
      releaseHeldBytes(connection);
      notifyClosed(code, reason.toString()).catch(fail);
    });
  };
  wss.on('connection', open);

  return {
    *listConnections() {
      for (const connection of connections)
        if (connection.endReason === undefined) yield new LiveWebSocket(connection);
    },
    handleUpgrade(request, socket, head, reject) {
      rejections.set(request, reject);
      wss.handleUpgrade(request, socket, head, (webSocket) => {
        if (isDraining) closeForRestart(webSocket);
        else wss.emit('connection', webSocket, request);
      });
    },
    drain() {
      isDraining = true;
      return [...connections].map((connection) => () => endConnection(connection, 'DRAINING'));
    },
    async close() {
      isDraining = true;
      clearInterval(checkTimer);
      for (const connection of connections) endConnection(connection, 'DRAINING');
      wss.close();
      await Promise.all([...connections].map(({ socket }) => once(socket, 'close')));
    },
  };
}

/** For the graphql-ws client, a rejected handshake is final by default, but not a close. */
function closeForRestart(socket: WebSocket): void {
  socket.on('error', () => socket.terminate());
  socket.close(1012, 'DRAINING' satisfies EndReason);
}

function handshakeErrorOf({ method, headers }: IncomingMessage, message: string): HttpErrorResponse {
  const error = { code: 'INVALID_INPUT', message: `${message}.` } as const;
  if (method !== 'GET') return { ...error, status: 405, headers: { Allow: 'GET' } };
  const version = headers['sec-websocket-version'];
  if (version === '13' || version === '8') return { ...error, status: 400 };
  return { ...error, status: 426, headers: { Upgrade: 'websocket', 'Sec-WebSocket-Version': '13, 8' } };
}

const accountOf = ({ liveSession }: WebSocketConnection): string | undefined =>
  liveSession && actorKey(liveSession.session.actor);

/**
 * Returns the payload of the pong. A client renews its session by a ping with a new token before the current token
 * expires; the pong tells whether the connection continues with it.
 */
async function renewByPing(
  ports: Ports,
  connection: WebSocketConnection,
  payload: Record<string, unknown> | undefined,
): Promise<Record<string, unknown> | undefined> {
  const found = findToken(payload);
  if (found === undefined) return payload;
  try {
    if (found.token === undefined) throw unauthenticated(found.problem);
    const { expiresAt } = await renewSession(ports, connection, found.token);
    return { refreshed: true, expiresAt: new Date(expiresAt).toISOString() };
  } catch (error) {
    const { message, extensions } = ports.formatError(error);
    return { refreshed: false, message, ...extensions };
  }
}
