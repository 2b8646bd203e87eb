import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Socket as EngineSocket } from 'engine.io';
import { Server } from 'socket.io';
import type { WebSocket } from 'ws';
import { actorKey } from '../actor.ts';
import { exceedsSendLimitsWithMargin } from './backpressure.ts';
import { LegacyConnection } from './connection.ts';
import type { BridgeDeps } from './deps.ts';
import { LedgerEntry } from '../lib/byte-ledger.ts';
import {
  parseInTurn,
  receivedBytes,
  replyToPing,
  requireReceiverInternals,
} from '../lib/websocket-receiver.ts';
import type { Priority } from '../lib/turn-clock.ts';
import { internalsOf, onTransport } from './engine-io/internals.ts';
import type { Transport } from './engine-io/internals.ts';
import { limitPackets, limitPongs } from './engine-io/packet-limits.ts';
import { parser } from './engine-io/socket-io-parser.ts';
import { ignoreRepeatedConnects } from './engine-io/repeated-connects.ts';
import { DEFAULT_LIMITS } from './connection-limits.ts';
import { createReportHandler } from './usage-report.ts';
import type { ReportHandler } from './usage-report.ts';
import { createRooms } from './rooms.ts';
import {
  bufferedBytes,
  closeForRestart,
  createEngineIo,
  queuedPackets,
  sidOf,
  tcpSocket,
  terminate,
} from './engine-io/server.ts';

/** Applied twice at shutdown, to events in flight and to the release of resources. The whole process has 5 s. */
const DRAIN_TIMEOUT_MS = 1_500;
/** Interval at which open connections are counted, for the usage reports of other nodes. */
const USAGE_INTERVAL_MS = 3_600_000;

/** Queued packets between two counts of their bytes, which take time in proportion to them. */
const UNREAD_CHECK_INTERVAL = 64;

const sessionIdOf = ({ url }: IncomingMessage): string => /[?&]sid=([^&]+)/.exec(url ?? '')?.[1] ?? '';

/** The Socket.IO server for legacy clients. The HTTP server routes `/socket.io/` to it. */
export interface Bridge {
  handleRequest(request: IncomingMessage, response: ServerResponse): void;
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Handles `GET /legacy-report?days=30`. */
  readonly handleReport: ReportHandler;
  /** Returns the open connections, and those whose last events still run. */
  connections(): Iterable<LegacyConnection>;
  /** Finishes the events in flight and closes every connection so that its client reconnects, to another node. */
  close(): Promise<void>;
}

/** Creates the Socket.IO server. Throws an Error if engine.io or socket.io lacks a private member that it needs. */
export function createBridge(deps: BridgeDeps): Bridge {
  const limits = { ...DEFAULT_LIMITS, ...deps.limits };
  requireReceiverInternals();
  let isClosing = false;
  const engine = createEngineIo({
    pingInterval: limits.pingIntervalMs,
    pingTimeout: limits.pingTimeoutMs,
    maxHttpBufferSize: limits.payloadBytes,
    transports: ['polling', 'websocket'],
    // CORS protects neither WebSockets nor JSONP: the origin is checked here as well.
    allowRequest: (request, callback) => callback(null, !isClosing && deps.isOriginAllowed(request)),
    cors: (request, callback) =>
      callback(null, { origin: deps.isOriginAllowed(request as IncomingMessage), credentials: true }),
  });
  const io = new Server({ path: '/socket.io/', serveClient: false, parser });
  const rooms = createRooms({
    tails: deps.tails,
    onSent: (channel, receivers) => deps.metrics.legacyFrames.inc({ channel }, receivers),
  });
  const engineSockets = new Set<EngineSocket>();
  /** Engine.IO ids of clients that have logged in: each poll may arrive on another TCP connection. */
  const authenticatedSids = new Set<string>();
  const identifyPoll = (request: IncomingMessage): void => {
    if (authenticatedSids.has(sessionIdOf(request))) deps.identifyConnection(request.socket);
  };
  /** In the order of their arrival. */
  const anonymousSockets = new Set<EngineSocket>();
  const admitAnonymous = (conn: EngineSocket): void => {
    anonymousSockets.add(conn);
    const [oldest] = anonymousSockets;
    if (oldest === undefined || anonymousSockets.size <= limits.anonymousSessions) return;
    anonymousSockets.delete(oldest);
    const address = deps.addressOf(oldest.request);
    terminate(oldest);
    deps.reportRefusal('sessions', { address });
  };
  const engineSocketsById = new Map<string, EngineSocket>();
  const connections = new Set<LegacyConnection>();
  const connectionsByEngineSocket = new WeakMap<EngineSocket, LegacyConnection>();

  const logDisconnecting = (conn: EngineSocket | undefined, cause: string): void => {
    const connection = conn && connectionsByEngineSocket.get(conn);
    const fields = {
      connection: connection?.id,
      account: connection?.actor && actorKey(connection.actor),
      transport: 'socket.io',
      cause,
      queuedPackets: conn && queuedPackets(conn),
      bufferedBytes: conn && bufferedBytes(conn),
    };
    deps.log.warn(fields, 'disconnecting legacy client');
  };
  const engineSocketsByTransport = new WeakMap<object, EngineSocket>();
  const priorityOf = (transport: Transport): Priority => {
    const conn = engineSocketsByTransport.get(transport);
    return conn === undefined || connectionsByEngineSocket.get(conn)?.actor === undefined
      ? 'anonymous'
      : 'account';
  };
  onTransport(engine, (transport, _name, { socket: stream }) => {
    const socket = transport.socket as WebSocket | undefined;
    if (socket === undefined) return;
    socket.on('ping', (payload: Buffer) => replyToPing(socket, payload));
    stream.prependListener('data', () => parseInTurn(socket, deps.turnClock, priorityOf(transport)));
    const entry = new LedgerEntry(
      deps.ledgers.inbound,
      () => priorityOf(transport),
      () => disconnectHolder(engineSocketsByTransport.get(transport), socket),
    );
    stream.on('data', () => entry.update(receivedBytes(socket)));
    socket.once('close', () => entry.release());
  });
  const disconnectHolder = (conn: EngineSocket | undefined, socket?: WebSocket): void => {
    if (conn !== undefined) terminate(conn);
    socket?.terminate();
  };
  limitPackets(engine, limits.payloadPackets);
  limitPongs(engine, {
    maxBytes: limits.sendQueueBytes,
    engineSockets,
    onTerminate: (conn) => logDisconnecting(conn, 'pongs not read'),
  });

  engine.on('connection', (conn: EngineSocket) => {
    engineSockets.add(conn);
    admitAnonymous(conn);
    engineSocketsById.set(sidOf(conn), conn);
    engineSocketsByTransport.set(internalsOf(conn).transport, conn);
    conn.on('upgrade', (transport: object) => engineSocketsByTransport.set(transport, conn));
    // The outbound queue checks the limits for frames. This covers the packets that it does not send.
    const priority = (): Priority => priorityOf(internalsOf(conn).transport);
    const unread = new LedgerEntry(deps.ledgers.outbound, priority, () => disconnectHolder(conn));
    conn.on('drain', () => unread.isCounted && unread.update(bufferedBytes(conn)));
    conn.on('packetCreate', () => {
      if (queuedPackets(conn) % UNREAD_CHECK_INTERVAL === 1) unread.update(bufferedBytes(conn));
      if (!exceedsSendLimitsWithMargin(conn, limits)) return;
      logDisconnecting(conn, 'send queue full');
      terminate(conn);
    });
    deps.metrics.connections.inc({ transport: 'socket.io' });
    conn.once('close', () => {
      engineSockets.delete(conn);
      anonymousSockets.delete(conn);
      authenticatedSids.delete(sidOf(conn));
      engineSocketsById.delete(sidOf(conn));
      unread.release();
      deps.metrics.connections.dec({ transport: 'socket.io' });
    });
  });
  io.on('connection', (socket) => {
    const onReleased = (connection: LegacyConnection) => void connections.delete(connection);
    const onAuthenticated = (): void => {
      authenticatedSids.add(sidOf(socket.conn));
      anonymousSockets.delete(socket.conn);
      deps.identifyConnection(tcpSocket(socket.conn));
    };
    const connection = new LegacyConnection({ socket, deps, rooms, limits, onAuthenticated, onReleased });
    connections.add(connection);
    connectionsByEngineSocket.set(socket.conn, connection);
  });
  io.bind(engine);
  ignoreRepeatedConnects(engine, io);
  /** Counts the body of a polling request, as large as it may become, until it has a response. */
  const countBody = (request: IncomingMessage, response: ServerResponse): void => {
    if (request.method !== 'POST') return;
    const conn = engineSocketsById.get(sessionIdOf(request));
    const entry = new LedgerEntry(
      deps.ledgers.inbound,
      () => (conn === undefined ? 'anonymous' : priorityOf(internalsOf(conn).transport)),
      () => {
        disconnectHolder(conn);
        request.destroy();
      },
    );
    response.once('close', () => entry.release());
    const length = Number(request.headers['content-length'] ?? limits.payloadBytes);
    entry.update(Math.min(length, limits.payloadBytes));
  };
  const countUsage = (): void => {
    for (const connection of connections) connection.countUsage();
  };
  const usageTimer = setInterval(countUsage, USAGE_INTERVAL_MS);
  usageTimer.unref();

  return {
    handleRequest(request, response) {
      identifyPoll(request);
      countBody(request, response);
      engine.handleRequest(request, response);
    },
    handleUpgrade(request, socket, head) {
      identifyPoll(request);
      engine.handleUpgrade(request, socket, head);
    },
    handleReport: createReportHandler(deps.usage, countUsage),
    connections: () => connections.values(),
    async close() {
      isClosing = true;
      clearInterval(usageTimer);
      await Promise.all([...connections].map((connection) => connection.drain(DRAIN_TIMEOUT_MS)));
      for (const conn of engineSockets) closeForRestart(conn);
      await io.close();
    },
  };
}
