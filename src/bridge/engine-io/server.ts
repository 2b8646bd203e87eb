import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { Server as EngineServer } from 'engine.io';
import { WebSocketServer } from 'ws';
import type { ServerOptions as WebSocketServerOptions } from 'ws';
import type { Socket as EngineSocket, ServerOptions } from 'engine.io';
import { asciiJson } from '../../lib/ascii-json.ts';
import type { TurnEnd } from '../../lib/turn-end.ts';
import { adaptParser, isParserOfProtocol3 } from './protocol-3-parser.ts';
import type { EngineParser } from './protocol-3-parser.ts';
import type { BroadcastPacket } from './broadcast-packet.ts';
import { internalsOf, onTransport, requireInternals } from './internals.ts';
import type { EngineRequest, OutgoingPacket } from './internals.ts';

/**
 * Creates an Engine.IO server for legacy clients of every age. Throws an Error if engine.io lacks a private member that
 * this needs. Clients released before 2018 do not work with stock engine.io 6, even with `allowEIO3`. Workarounds, for
 * protocol 3 only:
 *
 * - Browsers with 1.0 to 1.3 read polling responses as binary only, and engine.io sends text. They are sent binary
 *   (`readsOnlyBinary`).
 * - Clients of 1.x and of Java decode polled text from UTF-8 twice. Text is escaped to ASCII (`escapeToAscii`).
 * - The same clients, and Swift's, encode posted text as UTF-8 twice. The second encoding is undone (`adaptParser`).
 * - engine.io stops the ping timeout at an upgrade, so that a silent client stays connected. The timeout is set again
 *   (`resetPingTimeout`).
 *
 * `rejectUpgrade` responds to a rejected WebSocket handshake, which engine.io and `ws` would do each in their own way.
 *
 * For both protocols, JSONP responses are sent as scripts, and a close packet on a WebSocket, which the Swift client
 * sends, closes the connection immediately.
 *
 * Not worked around: 1.0 encodes twice over WebSockets too, where it cannot be distinguished from 1.3.
 */
export function createEngineIo(
  options: ServerOptions,
  rejectUpgrade?: (request: IncomingMessage, message: string) => void,
): EngineServer {
  requireInternals();
  const wsEngine = createWebSocketServerClass(rejectUpgrade);
  const engine = new EngineServer({ ...options, allowEIO3: true, wsEngine });
  // Emitted before engine.io responds with text, which it leaves out when the socket has been ended.
  engine.on('connection_error', ({ req, message }: ConnectionError) => rejectUpgrade?.(req, message));
  adaptTransports(engine);
  engine.on('headers', (headers: Record<string, string>, request: EngineRequest) => {
    // engine.io 6.6.12 sends scripts as text, which browsers do not run from responses with `nosniff`.
    if (request._query['j'] !== undefined && request.method === 'GET')
      headers['Content-Type'] = 'text/javascript; charset=UTF-8';
  });
  const escapeToAscii = memoizeLast(asciiJson);
  engine.on('connection', (conn: EngineSocket) => {
    conn.on('packet', ({ type }: { readonly type: string }) => {
      if (type === 'close') conn.close();
    });
    if (conn.protocol !== 3) return;
    conn.on('packetCreate', (packet: OutgoingPacket) => {
      if (typeof packet.data !== 'string') return;
      const text = escapeToAscii(packet.data);
      if (text === packet.data) return;
      packet.data = text;
      // All receivers of a broadcast share its options, which hold the WebSocket frame of the unescaped text.
      packet.options = { compress: packet.options.compress };
    });
    conn.on('upgrade', () => internalsOf(conn).resetPingTimeout());
  });
  return engine;
}

/** Packets of one turn beyond it leave in another write. */
const MAX_CORKED_BYTES = 128 * 1024;

/**
 * Sends a packet that many connections receive. Writes its shared bytes to the TCP stream, bypassing engine.io and `ws`, if
 * nothing is queued for the connection; otherwise queues it in engine.io, which preserves the order. The packets of one turn
 * of the event loop leave in one write.
 */
export function writeBroadcast(conn: EngineSocket, packet: BroadcastPacket, turnEnd: TurnEnd): void {
  const { transport, writeBuffer } = internalsOf(conn);
  const { socket, stream } = transport;
  if (stream !== undefined && stream.writableLength > MAX_CORKED_BYTES) stream.uncork();
  const isIdle =
    stream !== undefined &&
    (stream.writableCorked > 0 || stream.writableLength === 0) &&
    transport.writable &&
    writeBuffer.length === 0 &&
    socket?.readyState === socket?.OPEN &&
    conn.readyState === 'open';
  if (isIdle) {
    turnEnd.cork(stream);
    stream.write(packet.webSocketFrame);
    return;
  }
  if (socket === undefined && transport.writable) respondAtTurnEnd(conn, turnEnd);
  internalsOf(conn).write(packet.text, socket && { wsPreEncodedFrame: [packet.webSocketFrame] });
}

/** Makes engine.io respond to a poll with all packets of the turn, instead of with the first. */
function respondAtTurnEnd(conn: EngineSocket, turnEnd: TurnEnd): void {
  const internals = internalsOf(conn);
  const { flush } = internals;
  if (flush === waitForTurnEnd) return;
  internals.flush = waitForTurnEnd;
  turnEnd.call(() => {
    internals.flush = flush;
    internals.flush();
  });
}

const waitForTurnEnd = (): void => undefined;

/** Returns the approximate bytes buffered for a client: in its WebSocket, and in the queue of engine.io. */
export function bufferedBytes(conn: EngineSocket): number {
  const { transport, writeBuffer } = internalsOf(conn);
  let bytes = transport.socket?.bufferedAmount ?? 0;
  for (const { data } of writeBuffer) bytes += typeof data === 'string' ? data.length : BINARY_PACKET_BYTES;
  return bytes;
}

/** Returns how many packets engine.io has queued for a client: none while it keeps up. */
export const queuedPackets = (conn: EngineSocket): number => internalsOf(conn).writeBuffer.length;

/** Returns the id by which a client's requests name its connection. */
export const sidOf = (conn: EngineSocket): string => internalsOf(conn).id;

/** Returns the TCP connection of a client's WebSocket, or of its handshake while it polls. */
export const tcpSocket = (conn: EngineSocket): Duplex =>
  internalsOf(conn).transport.stream ?? conn.request.socket;

/** Writes the packets that wait for the end of the turn. */
export const writeCorked = (conn: EngineSocket): void => internalsOf(conn).transport.stream?.uncork();

/** Closes a connection without a closing handshake, and discards what is buffered for it. */
export function terminate(conn: EngineSocket): void {
  writeCorked(conn);
  internalsOf(conn).transport.socket?.terminate();
  conn.close(true);
}

/**
 * Closes a connection so that its client reconnects, to another node. WebSockets close with 1012 (service restart);
 * protocol 3 gets 1001 (going away), as 1.x clients under Node crash on codes that are newer than their `ws`. The client
 * receives what is queued for it first, if it polls with its next poll. Resolves when the connection is closed.
 */
export async function closeForRestart(conn: EngineSocket): Promise<void> {
  if (conn.readyState === 'closed') return;
  const { transport, writeBuffer } = internalsOf(conn);
  const { socket } = transport;
  const closed = once(conn, 'close');
  const close = (): void => {
    socket?.close(conn.protocol === 3 ? 1001 : 1012);
    conn.close(true);
  };
  if (writeBuffer.length === 0) close();
  else if (socket === undefined) conn.close();
  else conn.once('drain', close);
  await closed;
}

/** Stops reading from a WebSocket. A polling client is not affected. */
export const pauseReading = (conn: EngineSocket): void => internalsOf(conn).transport.socket?.pause();

export const resumeReading = (conn: EngineSocket): void => internalsOf(conn).transport.socket?.resume();

const MAX_FRAGMENTS = 1_024;

interface ConnectionError {
  readonly req: IncomingMessage;
  readonly message: string;
}

/** Creates Engine.IO's server of WebSockets. It does not reply to pings itself: `replyToPing` does, without a reply to each. */
const createWebSocketServerClass = (rejectUpgrade?: (request: IncomingMessage, message: string) => void) =>
  class extends WebSocketServer {
    constructor(options: WebSocketServerOptions) {
      super({ ...options, autoPong: false, maxFragments: MAX_FRAGMENTS });
      if (rejectUpgrade !== undefined)
        this.on('wsClientError', ({ message }, _socket, request) => rejectUpgrade(request, message));
    }
  };

/** Assumed size of a packet without text, in bytes. */
const BINARY_PACKET_BYTES = 64;

function adaptTransports(engine: EngineServer): void {
  const adaptedParsers = new Map<boolean, EngineParser>();
  onTransport(engine, (transport, name, request) => {
    if (transport.socket?.extensions === '') transport.stream = request.socket;
    const query = request._query;
    if (name !== 'polling' || query['EIO'] === '4' || !isParserOfProtocol3(transport.parser)) return;
    const binary = readsOnlyBinary(query, request.headers['user-agent'] ?? '');
    const parser = adaptedParsers.get(binary) ?? adaptParser(transport.parser, { binary });
    adaptedParsers.set(binary, parser);
    transport.parser = parser;
  });
}

/**
 * Whether the client is a browser with socket.io-client 1.0 to 1.3, which requests no base64 and reads only binary
 * responses. The format of its request timestamp `t` identifies it.
 */
function readsOnlyBinary(query: Readonly<Record<string, string | undefined>>, userAgent: string): boolean {
  const { b64, j, t } = query;
  if (b64 !== undefined || j !== undefined) return false;
  return t === undefined ? userAgent.startsWith('Mozilla/') : /^\d{10,}-\d+$/.test(t);
}

/** Memoizes the last conversion: a broadcast converts the same text for each of its receivers. */
function memoizeLast(convert: (text: string) => string): (text: string) => string {
  let lastText = '';
  let lastResult = convert(lastText);
  return (text) => {
    if (text !== lastText) {
      lastText = text;
      lastResult = convert(text);
    }
    return lastResult;
  };
}
