import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Socket as EngineSocket } from 'engine.io';
import { Server } from 'socket.io';
import { actorKey } from '../actor.ts';
import type { ActorRef } from '../actor.ts';
import type { EndReason } from '../errors.ts';
import type { Topic } from '../events/event.ts';
import { Connection } from './connection.ts';
import type { BridgeDeps } from './deps.ts';
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
  isSendQueueFull,
  queuedPackets,
  terminate,
} from './engine-io/server.ts';

/** Applied twice at shutdown, to events in flight and to the release of resources. The whole process has 5 s. */
const DRAIN_TIMEOUT_MS = 1_500;
/** Interval at which open connections are counted, for the usage reports of other nodes. */
const USAGE_INTERVAL_MS = 3_600_000;

/** A live legacy connection, as an operator sees it. */
export interface LegacyConnection {
  readonly id: string;
  readonly actor: ActorRef | undefined;
  readonly topics: readonly Topic[];
  end(reason: EndReason): void;
}

/** The Socket.IO server for legacy clients. The HTTP server routes `/socket.io/` to it. */
export interface Bridge {
  handleRequest(request: IncomingMessage, response: ServerResponse): void;
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Handles `GET /legacy-report?days=30`. */
  readonly handleReport: ReportHandler;
  connections(): Iterable<LegacyConnection>;
  /** Finishes the events in flight and closes every connection so that its client reconnects, to another node. */
  close(): Promise<void>;
}

/** Creates the Socket.IO server. Throws an Error if engine.io or socket.io lacks a private member that it needs. */
export function createBridge(deps: BridgeDeps): Bridge {
  const limits = { ...DEFAULT_LIMITS, ...deps.limits };
  let closing = false;
  const engine = createEngineIo({
    pingInterval: limits.pingIntervalMs,
    pingTimeout: limits.pingTimeoutMs,
    maxHttpBufferSize: limits.payloadBytes,
    transports: ['polling', 'websocket'],
    // CORS protects neither WebSockets nor JSONP: the origin is checked here as well.
    allowRequest: (request, answer) => answer(null, !closing && deps.originAllowed(request)),
    cors: (request, answer) =>
      answer(null, { origin: deps.originAllowed(request as IncomingMessage), credentials: true }),
  });
  const io = new Server({ path: '/socket.io/', serveClient: false, parser });
  const rooms = createRooms({
    tails: deps.tails,
    onSent: (channel, receivers) => deps.metrics.legacyFrames.inc({ channel }, receivers),
  });
  const transports = new Set<EngineSocket>();
  const connections = new Set<Connection>();
  const byTransport = new WeakMap<EngineSocket, Connection>();

  const logDisconnecting = (transport: EngineSocket | undefined, cause: string): void => {
    const connection = transport && byTransport.get(transport);
    const fields = {
      connection: connection?.id,
      account: connection?.actor && actorKey(connection.actor),
      transport: 'socket.io',
      cause,
      queuedPackets: transport && queuedPackets(transport),
      bufferedBytes: transport && bufferedBytes(transport),
    };
    deps.log.warn(fields, 'disconnecting legacy client');
  };
  limitPackets(engine, limits.payloadPackets);
  limitPongs(engine, limits.sendQueueBytes, (isTransport) =>
    logDisconnecting([...transports].find(isTransport), 'pongs not read'),
  );

  engine.on('connection', (transport: EngineSocket) => {
    transports.add(transport);
    // `OutboundQueue` bounds what the bridge sends. This bounds pongs, acknowledgements and namespace errors as well.
    transport.on('packetCreate', () => {
      if (!isSendQueueFull(transport, limits)) return;
      logDisconnecting(transport, 'send queue full');
      terminate(transport);
    });
    deps.metrics.connections.inc({ transport: 'socket.io' });
    transport.once('close', () => {
      transports.delete(transport);
      deps.metrics.connections.dec({ transport: 'socket.io' });
    });
  });
  io.on('connection', (socket) => {
    const onReleased = (connection: Connection) => void connections.delete(connection);
    const connection = new Connection({ socket, deps, rooms, limits, onReleased });
    connections.add(connection);
    byTransport.set(socket.conn, connection);
  });
  io.bind(engine);
  ignoreRepeatedConnects(engine, io);
  const countUsage = (): void => {
    for (const connection of connections) connection.countUsage();
  };
  const timer = setInterval(countUsage, USAGE_INTERVAL_MS);
  timer.unref();

  return {
    handleRequest: (request, response) => engine.handleRequest(request, response),
    handleUpgrade: (request, socket, head) => engine.handleUpgrade(request, socket, head),
    handleReport: createReportHandler(deps.usage, countUsage),
    connections: () => connections.values(),
    async close() {
      closing = true;
      clearInterval(timer);
      await Promise.all([...connections].map((connection) => connection.drain(DRAIN_TIMEOUT_MS)));
      for (const transport of transports) closeForRestart(transport);
      await io.close();
    },
  };
}
