import { Decoder as StockDecoder, Encoder, PacketType } from 'socket.io-parser';
import type { Packet } from 'socket.io-parser';
import { MAX_JSON_PARTS, measureJson } from '../../lib/json-weight.ts';

/** The internal name of an event `disconnect` sent by a client: Socket.IO reserves the name itself. */
export const CLIENT_DISCONNECT = 'client:disconnect';

/** `2`, a namespace, an acknowledgement id, and an event whose name is reserved in Socket.IO 4. */
const RESERVED_EVENT =
  /^(2(?:\/[^,]*,)?\d*\[")(connect|connect_error|disconnect|disconnecting|newListener|removeListener)"/;

/**
 * Accepts events whose names are reserved since Socket.IO 3.0, which closes the connection for them. Clients may send the
 * channel `disconnect`; the others are unknown channels, which are ignored.
 */
class Decoder extends StockDecoder {
  #isBinary = false;

  constructor() {
    super();
    // An Error thrown here closes the connection, like a malformed packet.
    this.on('decoded', ({ data }: Packet) => this.#isBinary && requireDistinctAttachments(data, new Set()));
  }

  override add(packet: unknown): void {
    this.#isBinary = typeof packet !== 'string';
    if (typeof packet !== 'string') return super.add(packet);
    // Closes the connection, too.
    if (measureJson(packet).parts > MAX_JSON_PARTS)
      throw new Error('The packet has too many objects, lists and properties.');
    super.add(packet.replace(RESERVED_EVENT, '$1client:$2"'));
  }
}

/**
 * Throws an Error if the packet refers to one attachment more than once. No client does so, and a packet with thousands of
 * references to one attachment would expand to thousands of copies when serialised.
 */
function requireDistinctAttachments(value: unknown, seen: Set<object>): void {
  if (typeof value !== 'object' || value === null) return;
  if (!ArrayBuffer.isView(value)) {
    for (const inner of Object.values(value)) requireDistinctAttachments(inner, seen);
    return;
  }
  if (seen.has(value)) throw new Error('The packet refers to an attachment more than once.');
  seen.add(value);
}

/** The `parser` option of the Socket.IO server. */
export const parser = { Encoder, Decoder };

/** Encodes an event of the default namespace as the text of an Engine.IO message. */
export const encodeEvent = (channel: string, payload: unknown): string =>
  String(new Encoder().encode({ type: PacketType.EVENT, nsp: '/', data: [channel, payload] })[0]);
