import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { Server as EngineServer, Socket as EngineSocket } from 'engine.io';
import { Server } from 'socket.io';
import { isParserOfProtocol3 } from './protocol-3-parser.ts';

// The private members of engine.io and socket.io that the bridge uses, with the one start check for them. See
// docs/private-apis.md for the versions that were read, and why each member is needed.

/** Private members of engine.io's server. */
export interface EngineInternals {
  createTransport(name: string, request: IncomingMessage): Transport;
  /** Parses the query of a request into `_query`. */
  prepare(request: IncomingMessage): void;
}

export interface Transport {
  parser: unknown;
  /** False while a write is in flight. */
  writable: boolean;
  readonly readyState: string;
  /** The response to the polling request whose packets are being handled. */
  readonly dataRes?: ServerResponse | null;
  send(packets: readonly object[]): void;
  /** Handles a request of a polling client. */
  onRequest(request: object): void;
  /** Set on WebSocket transports only. */
  readonly socket?: WebSocketInternals;
  /** Set by this project: the stream below an uncompressed WebSocket. */
  stream?: Duplex;
}

/** The `ws` WebSocket of a transport. All but `_sender` is public in ws; engine.io exposes none of it. */
export interface WebSocketInternals {
  readonly OPEN: number;
  readonly readyState: number;
  readonly extensions: string;
  readonly bufferedAmount: number;
  on(event: 'ping', listener: () => void): void;
  pause(): void;
  resume(): void;
  close(code: number): void;
  terminate(): void;
}

/** Private members of engine.io's socket. */
export interface SocketInternals {
  readonly id: string;
  readonly transport: Transport;
  /** Packets that the transport has not taken yet. */
  readonly writeBuffer: readonly { readonly data?: unknown }[];
  resetPingTimeout(): void;
  /** Passes the packets of `writeBuffer` to the transport if it is writable. Called for each packet. */
  flush(): void;
  write(text: string, options?: { readonly wsPreEncodedFrame: readonly Buffer[] }): void;
}

/** A packet as the documented event `packetCreate` shows it; its `options` are not documented. */
export interface OutgoingPacket {
  data?: unknown;
  options: { compress: boolean; wsPreEncodedFrame?: readonly Buffer[] };
}

export type EngineRequest = IncomingMessage & {
  readonly _query: Readonly<Record<string, string | undefined>>;
};

export const internalsOf = (conn: EngineSocket): SocketInternals => conn as unknown as SocketInternals;

/** Calls the listener for each transport that the server creates, before the transport handles a packet. */
export function onTransport(
  engine: EngineServer,
  listener: (transport: Transport, name: string, request: EngineRequest) => void,
): void {
  const server = engine as unknown as EngineInternals;
  const createTransport = server.createTransport.bind(engine);
  server.createTransport = (name, request) => {
    const transport = createTransport(name, request);
    listener(transport, name, request as EngineRequest);
    return transport;
  };
}

/**
 * Checks every private member that the bridge uses. Throws an Error that names the missing ones, so that an upgrade
 * fails at start and not for one kind of client. Opens sessions of a throwaway server for the members that exist only
 * while a client is connected.
 */
export function requireInternals(): void {
  const missing = findMissing();
  if (missing.length > 0)
    throw new Error(`engine.io or socket.io lacks what legacy clients need: ${missing.join(', ')}`);
}

function findMissing(): readonly string[] {
  const engine = new EngineServer({ transports: ['polling', 'websocket'], allowEIO3: true });
  try {
    const missing = [
      ...missingMethods(engine, ['createTransport', 'prepare']),
      ...missingMethods(EngineSocket.prototype, ['flush', 'resetPingTimeout', 'sendPacket']),
    ];
    return missing.length > 0 ? missing : findMissingInSession(engine);
  } finally {
    engine.close();
  }
}

const missingMethods = (owner: object, names: readonly string[]): string[] =>
  names.filter((name) => typeof Reflect.get(owner, name) !== 'function');

function findMissingInSession(stock: EngineServer): readonly string[] {
  const engine = stock as unknown as EngineInternals;
  const request = fakeRequest('/?EIO=3&transport=polling');
  engine.prepare(request);
  if ((request as Partial<EngineRequest>)._query?.['EIO'] !== '3') return ['request._query'];
  const transport = engine.createTransport('polling', request);
  if (!isParserOfProtocol3(transport.parser)) return ['transport.parser'];
  const conn = newSocket(engine, transport, request, 3);
  const queue = internalsOf(conn).writeBuffer as unknown;
  conn.close(true);
  if (!Array.isArray(queue)) return ['writeBuffer'];
  return [...findMissingInWebSocket(engine, request), ...findMissingInProtocol4(stock, engine)];
}

function findMissingInWebSocket(engine: EngineInternals, request: IncomingMessage): readonly string[] {
  const sent: unknown[] = [];
  const sender = { sendFrame: (frame: unknown) => sent.push(frame) };
  const websocket = Object.assign(new EventEmitter(), { _sender: sender, send: () => undefined });
  const transport = engine.createTransport('websocket', Object.assign(request, { websocket }));
  if ((transport.socket as unknown) !== websocket) return ['transport.socket'];
  if (!transport.writable) return ['transport.writable'];
  const frame = [Buffer.from('frame')];
  transport.send([{ type: 'message', data: 'text', options: { wsPreEncodedFrame: frame } }]);
  return sent[0] === frame ? [] : ['options.wsPreEncodedFrame'];
}

/** Socket.IO must read packets as a `data` listener of the connection, for `ignoreRepeatedConnects` to filter them. */
function findMissingInProtocol4(stock: EngineServer, engine: EngineInternals): readonly string[] {
  const request = fakeRequest('/?EIO=4&transport=polling');
  engine.prepare(request);
  const transport = engine.createTransport('polling', request);
  if (missingMethods(transport.parser as object, ['decodePayload']).length > 0) return ['transport.parser'];
  const conn = newSocket(engine, transport, request, 4);
  new Server({ serveClient: false }).bind(stock);
  stock.emit('connection', conn);
  const readers = conn.listenerCount('data');
  conn.close(true);
  return readers > 0 ? findMissingInPost(engine) : ['listeners of data'];
}

/** The response must be known while the packets of its request are decoded, for `handlePacketsInTurns` to delay it. */
function findMissingInPost(engine: EngineInternals): readonly string[] {
  const request = fakeRequest('/?EIO=4&transport=polling');
  engine.prepare(request);
  const transport = engine.createTransport('polling', request);
  let isKnown = false;
  const response = { writeHead: () => response, end: () => response };
  transport.parser = {
    decodePayload() {
      isKnown = (transport.dataRes as unknown) === response;
      return [];
    },
  };
  const post = { method: 'POST', headers: {}, setEncoding: () => undefined, res: response };
  const body = Object.assign(new EventEmitter(), post);
  transport.onRequest(body);
  body.emit('end');
  return isKnown ? [] : ['transport.dataRes'];
}

const fakeRequest = (url: string): IncomingMessage =>
  ({ url, headers: {}, connection: {} }) as unknown as IncomingMessage;

function newSocket(
  engine: EngineInternals,
  transport: Transport,
  request: IncomingMessage,
  protocol: number,
): EngineSocket {
  const args: unknown = ['', engine, transport, request, protocol];
  return new EngineSocket(...(args as ConstructorParameters<typeof EngineSocket>));
}
