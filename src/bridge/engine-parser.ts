interface Packet {
  readonly type: string;
  readonly data?: unknown;
}

type OnPacket = (packet: Packet, index: number, total: number) => unknown;

/** The payload half of engine.io's parser for protocol 3. */
export interface EngineParser {
  encodePayload(
    packets: readonly Packet[],
    supportsBinary: boolean,
    callback: (payload: unknown) => void,
  ): void;
  encodePayloadAsBinary(packets: readonly Packet[], callback: (payload: unknown) => void): void;
  decodePayload(payload: unknown, callback: OnPacket): void;
}

export function isParserOfProtocol3(parser: unknown): parser is EngineParser {
  const methods = ['encodePayload', 'encodePayloadAsBinary', 'decodePayload'];
  return (
    typeof parser === 'object' &&
    parser !== null &&
    methods.every((name) => typeof Reflect.get(parser, name) === 'function')
  );
}

/** A copy of the parser for one way in which clients of 1.x poll. */
export function adaptParser(parser: EngineParser, { binary }: { readonly binary: boolean }): EngineParser {
  return {
    ...parser,
    encodePayload(packets, supportsBinary, callback) {
      if (binary) parser.encodePayloadAsBinary(packets, callback);
      else parser.encodePayload(packets, supportsBinary, callback);
    },
    decodePayload(payload, callback) {
      if (typeof payload !== 'string') {
        if (payload instanceof Uint8Array && isWellFormed(payload)) parser.decodePayload(payload, callback);
        else callback({ type: 'error', data: 'parser error' }, 0, 1);
        return;
      }
      parser.decodePayload(payload, (packet, index, total) => callback(mend(packet), index, total));
    },
  };
}

/**
 * Whether it is packets with their lengths in front: a 0 or 1, digits, 255, and so many bytes. The stock parser makes a
 * packet of every byte of anything else, in seconds and half a gigabyte for a payload of 5 MB.
 */
function isWellFormed(payload: Uint8Array): boolean {
  let at = 0;
  while (at < payload.length) {
    const kind = payload[at] ?? 255;
    let length = 0;
    for (at += 1; payload[at] !== 255; at += 1) {
      const digit = payload[at] ?? 255;
      length = length * 10 + digit;
      if (digit > 9 || length > payload.length) return false;
    }
    if (kind > 1 || length === 0) return false;
    at += 1 + length;
  }
  return at === payload.length;
}

const mend = (packet: Packet): Packet =>
  typeof packet.data === 'string' ? { ...packet, data: undoSecondUtf8(packet.data) } : packet;

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Undoes the second UTF-8 encoding that clients of 1.x and some apps apply to what they post as text. Text that could
 * not have come out of one is left alone; only text that was meant to read `Ã©` is mistaken.
 */
export function undoSecondUtf8(text: string): string {
  if (!/[\u0080-\u00ff]/.test(text) || /[\u0100-\uffff]/.test(text)) return text;
  try {
    return strictUtf8.decode(Buffer.from(text, 'latin1'));
  } catch {
    return text;
  }
}
