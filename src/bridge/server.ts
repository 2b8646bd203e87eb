import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Server as EngineServer, Socket as EngineSocket } from 'engine.io';
import { Server } from 'socket.io';
import type { WebSocket } from 'ws';
import { actorKey } from '../actor.ts';
import type { ActorRef } from '../actor.ts';
import type { ErrorCode } from '../errors.ts';
import type { ListConnections } from '../live-connections.ts';
import { callAfter, waitAtMost } from '../lib/timeout.ts';
import { limitReceiving, replyToPing, requireReceiverInternals } from '../lib/websocket-receiver.ts';
import { exceedsSendLimitsWithMargin } from './backpressure.ts';
import { DEFAULT_LIMITS } from './connection-limits.ts';
import { LegacyConnection } from './connection.ts';
import type { BridgeDeps } from './deps.ts';
import { onTransport } from './engine-io/internals.ts';
import { limitPackets, limitPongs } from './engine-io/packet-limits.ts';
import { handlePacketsInTurns } from './engine-io/packet-turns.ts';
import { ignoreRepeatedConnects } from './engine-io/repeated-connects.ts';
import {
  bufferedBytes,
  closeForRestart,
  createEngineIo,
  queuedPackets,
  tcpSocket,
  terminate,
} from './engine-io/server.ts';
import { parser } from './engine-io/socket-io-parser.ts';
import { EngineSessions } from './engine-sessions.ts';
import { countUnread, HeldBytes } from './held-bytes.ts';
import { IncompletePackets } from './incomplete-packets.ts';
import { LiveLegacyConnection } from './live-connection.ts';
import { PayloadTurns } from './payload-turns.ts';
import { createRooms } from './rooms.ts';
import { createReportHandler } from './usage-report.ts';
import type { ReportHandler } from './usage-report.ts';

/** Applied twice to each connection, to events in flight and to the release of resources. The process has 5 s. */
const DRAIN_TIMEOUT_MS = 1_500;
/** Interval at which open connections are counted, for the usage reports of other nodes. */
const USAGE_INTERVAL_MS = 3_600_000;

const DRAINING = {
  status: 503,
  code: 'UNAVAILABLE',
  message: 'The node is shutting down. Connect again.',
} as const;

/** Makes session ids begin with the name, by which a load balancer knows the node of a session. */
function nameSessions(engine: EngineServer, name: string | undefined): void {
  if (name === undefined) return;
  const generateId = engine.generateId.bind(engine);
  engine.generateId = async (request) => `${name}.${await generateId(request)}`;
}

/**
 * Refuses a handshake, or a request of a session that has moved: a load balancer may pass it to the next node. Engine.IO has
 * no error for it.
 */
function refuse(response: ServerResponse): void {
  const { status, ...body } = DRAINING;
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** Responds to the request of an upgrade with an error, and closes its connection. */
type RejectUpgrade = (error: {
  readonly status: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly text?: string;
}) => void;

/** The Socket.IO server for legacy clients. The HTTP server routes `/socket.io/` to it. */
export interface Bridge {
  handleRequest(request: IncomingMessage, response: ServerResponse): void;
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, reject: RejectUpgrade): void;
  /** Handles `GET /legacy-report?days=30`. */
  readonly handleReport: ReportHandler;
  /** Returns the open connections, and those whose last events still run. */
  connections(): Iterable<LegacyConnection>;
  readonly listConnections: ListConnections;
  /** Whether the request belongs to an open session. */
  isOfSession(request: IncomingMessage): boolean;
  /**
   * Accepts no more sessions. Returns functions that each close one so that its client reconnects, to another node, once
   * the events that it has received have run, oldest first.
   */
  drain(): (() => void)[];
  /** Closes every session that is left, and resolves when all is released. */
  close(): Promise<void>;
}

/** Creates the Socket.IO server. Throws an Error if engine.io or socket.io lacks a private member that it needs. */
export function createBridge(deps: BridgeDeps): Bridge {
  const limits = { ...DEFAULT_LIMITS, ...deps.limits };
  requireReceiverInternals();
  let isDraining = false;
  const rejections = new WeakMap<IncomingMessage, RejectUpgrade>();
  const rejectUpgrade = (request: IncomingMessage, message: string): void =>
    rejections.get(request)?.(
      isDraining ? DRAINING : { status: 400, code: 'INVALID_INPUT', message, text: message },
    );
  const engine = createEngineIo(
    {
      pingInterval: limits.pingIntervalMs,
      pingTimeout: limits.pingTimeoutMs,
      maxHttpBufferSize: limits.payloadBytes,
      transports: ['polling', 'websocket'],
      // CORS protects neither WebSockets nor JSONP: the origin is checked here as well.
      allowRequest: (request, callback) => callback(null, !isDraining && deps.isOriginAllowed(request)),
      cors: (request, callback) =>
        callback(null, { origin: deps.isOriginAllowed(request as IncomingMessage), credentials: true }),
    },
    rejectUpgrade,
  );
  nameSessions(engine, deps.config.NODE_NAME);
  const io = new Server({ path: '/socket.io/', serveClient: false, parser });
  const rooms = createRooms({
    tails: deps.tails,
    onSent: (channel, receivers) => deps.metrics.legacyFrames.inc({ channel }, receivers),
  });
  const sessions = new EngineSessions(deps.addressOf);
  const heldBytes = new HeldBytes(deps.ledgers, sessions);
  const connections = new Set<LegacyConnection>();
  const incompletePackets = new IncompletePackets({
    ledgers: deps.ledgers,
    sessions,
    maxBytes: limits.queuedBytes,
    onTooLarge(conn) {
      sessions.connectionOf(conn)?.disconnectSlow('incomplete packet too large');
      // It may have no connection, or one that has ended.
      terminate(conn);
    },
  });

  const logDisconnecting = (conn: EngineSocket | undefined, cause: string): void => {
    const connection = conn && sessions.connectionOf(conn);
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
  onTransport(engine, (transport, _name, { socket: stream }) => {
    const socket = transport.socket as WebSocket | undefined;
    if (socket === undefined) return;
    socket.on('ping', (payload: Buffer) => replyToPing(socket, payload));
    limitReceiving(socket, stream, {
      turnClock: deps.turnClock,
      inflow: deps.ledgers.inflow,
      flowOf: () => sessions.flowOf(sessions.findByTransport(transport)),
    });
    heldBytes.countReceived(transport, socket, stream);
  });
  limitPackets(engine, limits.payloadPackets);
  handlePacketsInTurns(engine, {
    turnClock: deps.turnClock,
    flowOf: (transport) => sessions.flowOf(sessions.findByTransport(transport)),
  });
  limitPongs(engine, {
    maxBytes: limits.sendQueueBytes,
    onTerminate: (transport) => logDisconnecting(sessions.findByTransport(transport), 'pongs not read'),
  });

  const limitAnonymousSessions = (): void => {
    const oldest = sessions.takeExcess(limits.anonymousSessions);
    if (oldest === undefined) return;
    const address = deps.addressOf(oldest.request);
    terminate(oldest);
    deps.reportRefusal('sessions', { address });
  };
  engine.on('connection', (conn: EngineSocket) => {
    sessions.add(conn);
    limitAnonymousSessions();
    incompletePackets.count(conn);
    const unread = heldBytes.openUnread(conn);
    // The outbound queue checks the limits for frames. This covers the packets that it does not send.
    conn.on('packetCreate', () => {
      countUnread(conn, unread);
      if (!exceedsSendLimitsWithMargin(conn, limits)) return;
      logDisconnecting(conn, 'send queue full');
      terminate(conn);
    });
    deps.metrics.connections.inc({ transport: 'socket.io' });
    conn.once('close', () => {
      sessions.delete(conn);
      incompletePackets.release(conn);
      unread.release();
      deps.metrics.connections.dec({ transport: 'socket.io' });
    });
  });
  io.on('connection', (socket) => {
    const onReleased = (connection: LegacyConnection) => void connections.delete(connection);
    const onAuthenticated = (account: ActorRef): void => {
      sessions.markAuthenticated(socket.conn);
      deps.identifyConnection(tcpSocket(socket.conn), account);
    };
    const connection = new LegacyConnection({ socket, deps, rooms, limits, onAuthenticated, onReleased });
    connections.add(connection);
    sessions.setConnection(socket.conn, connection);
  });
  io.bind(engine);
  ignoreRepeatedConnects(engine, io);
  const identifyPoll = (request: IncomingMessage): void => {
    const conn = sessions.findByRequest(request);
    // Each poll may arrive on another TCP connection.
    const account = conn && sessions.connectionOf(conn)?.actor;
    if (account !== undefined) deps.identifyConnection(request.socket, account);
  };
  const countUsage = (): void => {
    for (const connection of connections) connection.countUsage();
  };
  const payloadTurns = new PayloadTurns();
  const clientOf = (request: IncomingMessage): string => {
    const conn = sessions.findByRequest(request);
    const actor = conn && sessions.connectionOf(conn)?.actor;
    return actor === undefined ? deps.addressOf(request) : actorKey(actor);
  };
  const isOfSession = (request: IncomingMessage): boolean => sessions.findByRequest(request) !== undefined;
  const closeSession = async (conn: EngineSocket): Promise<void> => {
    const connection = sessions.connectionOf(conn);
    await (connection?.drain('DRAINING', DRAIN_TIMEOUT_MS) ??
      waitAtMost(DRAIN_TIMEOUT_MS, closeForRestart(conn)));
  };
  const usageTimer = setInterval(countUsage, USAGE_INTERVAL_MS);
  usageTimer.unref();

  return {
    handleRequest(request, response) {
      if (isDraining && !isOfSession(request)) return refuse(response);
      identifyPoll(request);
      const pass = (): void => {
        if (response.closed) return;
        payloadTurns.handle(request, clientOf(request), () => engine.handleRequest(request, response));
      };
      const delayMs = heldBytes.countBody(request, response, limits.payloadBytes);
      if (delayMs === 0) pass();
      else callAfter(delayMs, response, pass);
    },
    handleUpgrade(request, socket, head, reject) {
      rejections.set(request, reject);
      identifyPoll(request);
      engine.handleUpgrade(request, socket, head);
    },
    handleReport: createReportHandler(deps.usage, countUsage),
    connections: () => connections.values(),
    *listConnections() {
      for (const connection of connections) if (connection.isOpen) yield new LiveLegacyConnection(connection);
    },
    isOfSession,
    drain() {
      isDraining = true;
      return [...sessions].map((conn) => () => void closeSession(conn));
    },
    async close() {
      isDraining = true;
      clearInterval(usageTimer);
      await Promise.all([
        ...[...connections].map((connection) => connection.drain('DRAINING', DRAIN_TIMEOUT_MS)),
        ...[...sessions].map(closeSession),
      ]);
      await io.close();
    },
  };
}
