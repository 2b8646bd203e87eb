import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { Server as EngineServer, Socket as EngineSocket } from 'engine.io';
import type { ServerOptions } from 'engine.io';
import { asciiJson } from '../../lib/ascii-json.ts';
import { adaptParser, isParserOfProtocol3 } from './protocol-3-parser.ts';
import type { EngineParser } from './protocol-3-parser.ts';
import type { SharedPacket } from './broadcast-packet.ts';

/**
 * Clients that were shipped before 2018 are not served by engine.io as it is, not even with `allowEIO3`. What is mended
 * here, for protocol 3 alone:
 *
 * A. Browsers of 1.0 to 1.3 read only binary answers to polls, and are given text.
 * B. Text is UTF-8 once, which clients of 1.x and of Java undo twice while they poll: they are written ASCII.
 * C. The same clients, and those of Swift, encode twice what they post as text: the second time is undone.
 * D. Who goes silent after the upgrade is never noticed: the deadline is set again.
 *
 * And for both protocols: who says on a WebSocket that it closes, as the Swift client does, is let go at once; and what
 * many are told is written past engine.io to those for whom nothing waits.
 *
 * What this relies on is not public, was looked at in the version below, and is pinned in package.json. On a bump, read
 * the members named in `requireInternals`, `clearTransport` (D), and the `send` and `_onSentLast` of its WebSockets (they
 * are `writable` when all that they were given has left), and run test/bridge and test/conformance, which assert the
 * bytes. A member that is gone fails the start.
 *
 * Not mended: 1.0 encodes twice on WebSockets too, where nothing tells it from 1.3.
 */
export const ENGINE_IO_LOOKED_AT = '6.6.12';

interface EngineInternals {
  createTransport(name: string, request: IncomingMessage): Transport;
  prepare(request: IncomingMessage): void;
}

interface Transport {
  parser: unknown;
  writable: boolean;
  /** Of a WebSocket. */
  readonly socket?: WebSocketInternals;
  /** Where its frames go as they are, because it compresses nothing; set here. */
  stream?: Duplex;
}

interface SocketInternals {
  readonly transport: Transport;
  readonly writeBuffer: readonly { readonly data?: unknown }[];
  resetPingTimeout(): void;
  write(text: string, options?: { readonly wsPreEncodedFrame: readonly Buffer[] }): void;
}

interface WebSocketInternals {
  readonly OPEN: number;
  readonly readyState: number;
  readonly extensions: string;
  readonly bufferedAmount: number;
  close(code: number): void;
  terminate(): void;
}

interface OutgoingPacket {
  data?: unknown;
  options: { compress: boolean; wsPreEncodedFrame?: readonly Buffer[] };
}

type EngineRequest = IncomingMessage & { readonly _query: Readonly<Record<string, string | undefined>> };

/** An Engine.IO server for clients of every age. Throws when engine.io is another than this file knows. */
export function createEngineIo(options: ServerOptions): EngineServer {
  const engine = new EngineServer({ ...options, allowEIO3: true });
  requireInternals(engine);
  mendTransports(engine);
  const escaped = memoizeLast(asciiJson);
  engine.on('connection', (conn: EngineSocket) => {
    conn.on('packet', ({ type }: { readonly type: string }) => {
      if (type === 'close') conn.close();
    });
    if (conn.protocol !== 3) return;
    conn.on('packetCreate', (packet: OutgoingPacket) => {
      if (typeof packet.data !== 'string') return;
      const text = escaped(packet.data);
      if (text === packet.data) return;
      packet.data = text;
      // The options of a broadcast are shared by all receivers, and hold the WebSocket frame of the unescaped text.
      packet.options = { compress: packet.options.compress };
    });
    conn.on('upgrade', () => internals(conn).resetPingTimeout());
  });
  return engine;
}

/**
 * Sends what many get. Past engine.io, as one write of bytes that all of them share, where nothing waits: neither behind
 * the transport nor on its way to the system. What does wait has its bounds, and its order, in engine.io.
 */
export function writeShared(conn: EngineSocket, packet: SharedPacket): void {
  const { transport, writeBuffer } = internals(conn);
  const { socket, stream } = transport;
  const nothingWaits =
    stream?.writableLength === 0 &&
    transport.writable &&
    writeBuffer.length === 0 &&
    socket?.readyState === socket?.OPEN &&
    conn.readyState === 'open';
  if (nothingWaits) stream.write(packet.frame);
  else internals(conn).write(packet.text, socket && { wsPreEncodedFrame: [packet.frame] });
}

/** Bytes, about, that wait for a client which does not read: in its transport, and behind that. */
export function bufferedBytes(conn: EngineSocket): number {
  const { transport, writeBuffer } = internals(conn);
  let bytes = transport.socket?.bufferedAmount ?? 0;
  for (const { data } of writeBuffer) bytes += typeof data === 'string' ? data.length : PACKET_BYTES;
  return bytes;
}

/** Packets that wait behind the client's transport: none as long as it keeps up. */
export const waitingPackets = (conn: EngineSocket): number => internals(conn).writeBuffer.length;

/** Whether more waits for a client than may: beyond the bounds of what it is said, as no other answer is weighed. */
export function isOverfull(
  conn: EngineSocket,
  limits: { readonly waitingPackets: number; readonly waitingBytes: number },
): boolean {
  const waiting = waitingPackets(conn);
  if (waiting > limits.waitingPackets + WEIGHED_PACKETS) return true;
  return waiting > 0 && waiting % WEIGHED_PACKETS === 0 && bufferedBytes(conn) > 2 * limits.waitingBytes;
}

/** Closes a connection that takes no part in the closing: what waits for it is let go at once. */
export function cutOff(conn: EngineSocket): void {
  internals(conn).transport.socket?.terminate();
  conn.close(true);
}

/**
 * Closes a connection so that its client comes back, to another node: WebSockets with 1012 (service restart), but with
 * 1001 (going away) where the client is older than that code, which crashes those of 1.x under Node.
 */
export function closeForRestart(conn: EngineSocket): void {
  internals(conn).transport.socket?.close(conn.protocol === 3 ? 1001 : 1012);
  conn.close(true);
}

const PACKET_BYTES = 64;
/** To weigh what waits takes as long as it is: it is done once for so many packets. */
const WEIGHED_PACKETS = 64;

const internals = (conn: EngineSocket): SocketInternals => conn as unknown as SocketInternals;

function mendTransports(engine: EngineServer): void {
  const server = engine as unknown as EngineInternals;
  const createTransport = server.createTransport.bind(engine);
  const adapted = new Map<boolean, EngineParser>();
  server.createTransport = (name, request) => {
    const transport = createTransport(name, request);
    if (transport.socket?.extensions === '') transport.stream = request.socket;
    const query = (request as EngineRequest)._query;
    if (name !== 'polling' || query['EIO'] === '4' || !isParserOfProtocol3(transport.parser))
      return transport;
    const binary = readsOnlyBinary(query, request.headers['user-agent'] ?? '');
    const parser = adapted.get(binary) ?? adaptParser(transport.parser, { binary });
    adapted.set(binary, parser);
    transport.parser = parser;
    return transport;
  };
}

/** Browsers up to 1.3 announce no base64 and read only binary answers; they are told by how they stamp requests. */
function readsOnlyBinary(query: Readonly<Record<string, string | undefined>>, userAgent: string): boolean {
  const { b64, j, t } = query;
  if (b64 !== undefined || j !== undefined) return false;
  return t === undefined ? userAgent.startsWith('Mozilla/') : /^\d{10,}-\d+$/.test(t);
}

/** Many are told the same text. */
function memoizeLast(convert: (text: string) => string): (text: string) => string {
  let last = '';
  let answer = convert(last);
  return (text) => {
    if (text !== last) {
      last = text;
      answer = convert(text);
    }
    return answer;
  };
}

function requireInternals(engine: EngineServer): void {
  const missing = missingMethods(engine, ['createTransport', 'prepare']);
  missing.push(...missingMethods(EngineSocket.prototype, ['resetPingTimeout', 'sendPacket']));
  if (missing.length === 0) missing.push(...missingInSession(engine as unknown as EngineInternals));
  if (missing.length > 0) throw new Error(`engine.io lacks what old clients need: ${missing.join(', ')}`);
}

const missingMethods = (owner: object, names: readonly string[]): string[] =>
  names.filter((name) => typeof Reflect.get(owner, name) !== 'function');

/** Looks at what only exists while somebody is connected, in a session that nobody hears of. */
function missingInSession(engine: EngineInternals): string[] {
  const request = { url: '/?EIO=3&transport=polling', headers: {}, connection: {} };
  engine.prepare(request as IncomingMessage);
  if ((request as Partial<EngineRequest>)._query?.['EIO'] !== '3') return ['request._query'];
  const transport = engine.createTransport('polling', request as IncomingMessage);
  if (!isParserOfProtocol3(transport.parser)) return ['transport.parser'];
  const conn = newSocket(engine, transport, request);
  const waiting = internals(conn).writeBuffer as unknown;
  conn.close(true);
  if (!Array.isArray(waiting)) return ['writeBuffer'];
  const websocket = new EventEmitter();
  const upgraded = engine.createTransport('websocket', Object.assign(request, { websocket }) as never);
  if ((upgraded.socket as unknown) !== websocket) return ['transport.socket'];
  return upgraded.writable ? [] : ['transport.writable'];
}

function newSocket(engine: EngineInternals, transport: Transport, request: object): EngineSocket {
  const args = ['', engine, transport, request, 3] as unknown as ConstructorParameters<typeof EngineSocket>;
  return new EngineSocket(...args);
}
