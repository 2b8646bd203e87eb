import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Socket as EngineSocket } from 'engine.io';
import { Server } from 'socket.io';
import type { EndReason } from '../errors.ts';
import type { Topic } from '../events/event.ts';
import { Connection } from './connection.ts';
import { DEFAULT_LIMITS } from './deps.ts';
import type { BridgeDeps } from './deps.ts';
import { limitPackets, limitPongs } from './engine-io/packet-limits.ts';
import { parser } from './engine-io/socket-io-parser.ts';
import { discardRepeats } from './engine-io/repeated-connects.ts';
import { createReportHandler } from './usage-report.ts';
import type { ReportHandler } from './usage-report.ts';
import { createRooms } from './rooms.ts';
import { closeForRestart, createEngineIo, cutOff, isOverfull } from './engine-io/server.ts';
import type { ActorRef } from '../actor.ts';

/** Twice: for what is under way, and for giving back. The whole process has five seconds. */
const PATIENCE_MS = 1_500;
/** Clients that only listen are counted so often, for the reports of other nodes. */
const NOTE_MS = 3_600_000;

/** A live legacy connection, as an operator sees it. */
export interface LegacyConnection {
  readonly id: string;
  readonly actor: ActorRef | undefined;
  readonly topics: readonly Topic[];
  end(reason: EndReason): void;
}

/** The Socket.IO server for legacy clients, for the HTTP server to call under `/socket.io/`. */
export interface Bridge {
  handleRequest(request: IncomingMessage, response: ServerResponse): void;
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** `GET /legacy-report?days=30`: which old clients there still are, and what they use. */
  readonly handleReport: ReportHandler;
  connections(): Iterable<LegacyConnection>;
  /** Answers what is under way and closes every connection so that its client connects again, to another node. */
  close(): Promise<void>;
}

export function createBridge(deps: BridgeDeps): Bridge {
  const limits = { ...DEFAULT_LIMITS, ...deps.limits };
  let closing = false;
  const engine = createEngineIo({
    pingInterval: limits.pingIntervalMs,
    pingTimeout: limits.pingTimeoutMs,
    maxHttpBufferSize: limits.payloadBytes,
    transports: ['polling', 'websocket'],
    // CORS guards neither WebSockets nor JSONP.
    allowRequest: (request, answer) => answer(null, !closing && deps.originAllowed(request)),
    cors: (request, answer) =>
      answer(null, { origin: deps.originAllowed(request as IncomingMessage), credentials: true }),
  });
  limitPackets(engine, limits.payloadPackets);
  const logCut = () => deps.log.warn('an old client is cut off: it takes no answers');
  limitPongs(engine, limits.waitingBytes, logCut);
  const io = new Server({ path: '/socket.io/', serveClient: false, parser });
  const rooms = createRooms({
    tails: deps.tails,
    onSent: (channel, members) => deps.metrics.legacyFrames.inc({ channel }, members),
  });
  const transports = new Set<EngineSocket>();
  const connections = new Set<Connection>();

  engine.on('connection', (transport: EngineSocket) => {
    transports.add(transport);
    // What the connection says is bounded where it is said; this bounds pongs, acknowledgements and refusals as well.
    transport.on('packetCreate', () => {
      if (!isOverfull(transport, limits)) return;
      logCut();
      cutOff(transport);
    });
    deps.metrics.connections.inc({ transport: 'socket.io' });
    transport.once('close', () => {
      transports.delete(transport);
      deps.metrics.connections.dec({ transport: 'socket.io' });
    });
  });
  io.on('connection', (socket) => {
    const onLeft = (connection: Connection) => void connections.delete(connection);
    connections.add(new Connection({ socket, deps, rooms, limits, onLeft }));
  });
  io.bind(engine);
  discardRepeats(engine, io);
  const noteAll = (): void => {
    for (const connection of connections) connection.noteAlive();
  };
  const noting = setInterval(noteAll, NOTE_MS);
  noting.unref();

  return {
    handleRequest: (request, response) => engine.handleRequest(request, response),
    handleUpgrade: (request, socket, head) => engine.handleUpgrade(request, socket, head),
    handleReport: createReportHandler(deps.uses, noteAll),
    connections: () => connections.values(),
    async close() {
      closing = true;
      clearInterval(noting);
      await Promise.all([...connections].map((connection) => connection.drain(PATIENCE_MS)));
      for (const transport of transports) closeForRestart(transport);
      await io.close();
    },
  };
}
