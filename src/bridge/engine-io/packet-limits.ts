import type { IncomingMessage } from 'node:http';
import type { Server as EngineServer } from 'engine.io';
import { countBinaryPackets } from './protocol-3-parser.ts';

interface EngineInternals {
  createTransport(name: string, request: IncomingMessage): Transport;
}

interface Transport {
  parser: PayloadParser;
  /** Of a WebSocket. */
  readonly socket?: WebSocketInternals;
}

interface WebSocketInternals {
  readonly bufferedAmount: number;
  on(event: 'ping', listener: () => void): void;
  terminate(): void;
}

/** Protocol 3 hands packets to a callback, protocol 4 answers them. */
interface PayloadParser {
  decodePayload(payload: unknown, callback?: (packet: object) => unknown): unknown;
}

/** What engine.io's parsers make of what they cannot read: it ends the connection. */
const UNREADABLE = { type: 'error', data: 'parser error' };

/**
 * Bounds how many packets clients may post at once. All packets of a payload are read before the first of them is handed
 * on: a few million, which five megabytes hold, would stop everybody else for seconds, and take hundreds of megabytes.
 */
export function limitPackets(engine: EngineServer, maxPackets: number): void {
  onTransport(engine, (transport) => {
    if (transport.socket === undefined) transport.parser = limited(transport.parser, maxPackets);
  });
}

/** Cuts off whoever sends WebSocket pings and does not take the pongs, which are written without waiting for anybody. */
export function limitPongs(engine: EngineServer, maxBytes: number, onCut: () => void): void {
  onTransport(engine, ({ socket }) => {
    let cut = false;
    socket?.on('ping', () => {
      if (cut || socket.bufferedAmount <= maxBytes) return;
      cut = true;
      onCut();
      socket.terminate();
    });
  });
}

function onTransport(engine: EngineServer, listener: (transport: Transport) => void): void {
  const server = engine as unknown as EngineInternals;
  const createTransport = server.createTransport.bind(engine);
  server.createTransport = (name, request) => {
    const transport = createTransport(name, request);
    listener(transport);
    return transport;
  };
}

const limited = (parser: PayloadParser, maxPackets: number): PayloadParser => ({
  ...parser,
  decodePayload(payload, callback) {
    if (callback === undefined)
      return isTooMany(separated(payload), maxPackets) ? [UNREADABLE] : parser.decodePayload(payload);
    const tooMany =
      typeof payload === 'string'
        ? isTooMany(prefixed(payload), maxPackets)
        : (countBinaryPackets(payload) ?? 0) > maxPackets;
    return tooMany ? callback(UNREADABLE) : parser.decodePayload(payload, callback);
  },
});

/** Counts no further than needed. */
function isTooMany(packets: Iterator<unknown>, maxPackets: number): boolean {
  for (let count = 0; count <= maxPackets; count += 1) if (packets.next().done === true) return false;
  return true;
}

/** No length has more digits: the parsers would go on to the end for one. */
const MAX_DIGITS = 20;

/** Protocol 4: packets with a separator between them. */
function* separated(payload: unknown): Generator<void, void> {
  if (typeof payload !== 'string') return;
  for (let at = 0; at >= 0; at = payload.indexOf('\u001e', at + 1)) yield;
}

/** Protocol 3: `length:packet`. The parser stops at a length that is none. */
function* prefixed(payload: string): Generator<void, void> {
  for (let at = 0; at < payload.length;) {
    const digits = payload.slice(at, at + MAX_DIGITS).indexOf(':');
    if (digits < 0 && payload.length - at >= MAX_DIGITS) for (;;) yield;
    const length = digits < 0 ? Number.NaN : Number(payload.slice(at, at + digits));
    if (!(length >= 0)) return;
    yield;
    at += digits + 1 + length;
  }
}
