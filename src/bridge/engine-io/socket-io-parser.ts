import { Decoder as StockDecoder, Encoder, PacketType } from 'socket.io-parser';
import type { Packet } from 'socket.io-parser';

/** What a client's own `disconnect` event is called once it is in: the stock name would close the connection. */
export const CLIENT_DISCONNECT = 'client:disconnect';

/** `2`, a namespace, an acknowledgement id, and an event with a name that Socket.IO keeps to itself. */
const RESERVED =
  /^(2(?:\/[^,]*,)?\d*\[")(connect|connect_error|disconnect|disconnecting|newListener|removeListener)"/;

/**
 * Lets in events whose names are reserved since 3.0. The documentation calls `disconnect` a request like any other,
 * and the others were unknown channels, no reason to end a connection.
 */
class Decoder extends StockDecoder {
  #isBinary = false;

  constructor() {
    super();
    // What throws here ends the connection, like a packet that cannot be read.
    this.on('decoded', ({ data }: Packet) => this.#isBinary && requireOnce(data, new Set()));
  }

  override add(packet: unknown): void {
    this.#isBinary = typeof packet !== 'string';
    super.add(typeof packet === 'string' ? packet.replace(RESERVED, '$1client:$2"') : packet);
  }
}

/**
 * Each attachment stands in one place of its packet: no client writes another, and one that stands in thousands of places
 * weighs as much in whatever is made of it.
 */
function requireOnce(value: unknown, met: Set<object>): void {
  if (typeof value !== 'object' || value === null) return;
  if (!ArrayBuffer.isView(value)) {
    for (const inner of Object.values(value)) requireOnce(inner, met);
    return;
  }
  if (met.has(value)) throw new Error('an attachment stands in several places');
  met.add(value);
}

/** The `parser` option of the Socket.IO server. */
export const parser = { Encoder, Decoder };

/** Writes an event of the default namespace as the text that Engine.IO carries. */
export const encodeEvent = (channel: string, payload: unknown): string =>
  String(new Encoder().encode({ type: PacketType.EVENT, nsp: '/', data: [channel, payload] })[0]);
