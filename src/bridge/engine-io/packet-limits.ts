import type { Server as EngineServer } from 'engine.io';
import { onTransport } from './internals.ts';
import type { Transport } from './internals.ts';
import { countBinaryPackets } from './protocol-3-parser.ts';

/** The parser of protocol 3 passes packets to a callback, that of protocol 4 returns them. */
export interface PayloadParser {
  decodePayload(payload: unknown, callback?: (packet: object) => unknown): unknown;
}

/** The packet that engine.io's parsers return for a malformed payload; it ends the connection. */
const PARSER_ERROR = { type: 'error', data: 'parser error' };

/**
 * Limits the number of packets in one polling request. engine.io decodes all packets of a payload before it handles the
 * first: the millions that fit into 5 MB would block the event loop for seconds and take hundreds of megabytes.
 */
export function limitPackets(engine: EngineServer, maxPackets: number): void {
  onTransport(engine, (transport) => {
    if (transport.socket === undefined)
      transport.parser = withPacketLimit(transport.parser as PayloadParser, maxPackets);
  });
}

export interface PongLimitOptions {
  /** Largest number of bytes that a client may leave unread. */
  readonly maxBytes: number;
  /** Called before the WebSocket of a transport is terminated. */
  readonly onTerminate: (transport: Transport) => void;
}

/**
 * Terminates a WebSocket whose client sends pings without reading the pongs: `ws` replies to each ping without
 * backpressure.
 */
export function limitPongs(engine: EngineServer, { maxBytes, onTerminate }: PongLimitOptions): void {
  onTransport(engine, (transport) => {
    const { socket } = transport;
    let isTerminated = false;
    socket?.on('ping', () => {
      if (isTerminated || socket.bufferedAmount <= maxBytes) return;
      isTerminated = true;
      onTerminate(transport);
      socket.terminate();
    });
  });
}

const withPacketLimit = (parser: PayloadParser, maxPackets: number): PayloadParser => ({
  ...parser,
  decodePayload(payload, callback) {
    if (callback === undefined)
      return exceeds(scanSeparated(payload), maxPackets) ? [PARSER_ERROR] : parser.decodePayload(payload);
    const tooMany =
      typeof payload === 'string'
        ? exceeds(scanPrefixed(payload), maxPackets)
        : (countBinaryPackets(payload) ?? 0) > maxPackets;
    return tooMany ? callback(PARSER_ERROR) : parser.decodePayload(payload, callback);
  },
});

/** Whether there are more packets than the maximum. Stops counting there. */
function exceeds(packets: Iterator<unknown>, maxPackets: number): boolean {
  for (let count = 0; count <= maxPackets; count += 1) if (packets.next().done === true) return false;
  return true;
}

/** Most digits of a length prefix: the stock parser would scan to the end of the payload for a colon. */
const MAX_LENGTH_DIGITS = 20;

/** Yields once per packet of a payload of protocol 4: packets separated by U+001E. */
function* scanSeparated(payload: unknown): Generator<void, void> {
  if (typeof payload !== 'string') return;
  for (let offset = 0; offset >= 0; offset = payload.indexOf('\u001e', offset + 1)) yield;
}

/**
 * Yields once per packet of a text payload of protocol 3: `length:packet`. Ends at a malformed length, where the parser
 * stops too; never ends at one with too many digits, so that the payload counts as too large.
 */
function* scanPrefixed(payload: string): Generator<void, void> {
  for (let offset = 0; offset < payload.length;) {
    const digits = payload.slice(offset, offset + MAX_LENGTH_DIGITS).indexOf(':');
    if (digits < 0 && payload.length - offset >= MAX_LENGTH_DIGITS) for (;;) yield;
    const length = digits < 0 ? Number.NaN : Number(payload.slice(offset, offset + digits));
    if (!(length >= 0)) return;
    yield;
    offset += digits + 1 + length;
  }
}
