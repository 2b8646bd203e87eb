interface Packet {
  readonly type: string;
  readonly data?: unknown;
}

type OnPacket = (packet: Packet, index: number, total: number) => unknown;

/** The payload functions of engine.io's parser for protocol 3. */
export interface EngineParser {
  encodePayload(
    packets: readonly Packet[],
    supportsBinary: boolean,
    callback: (payload: unknown) => void,
  ): void;
  encodePayloadAsBinary(packets: readonly Packet[], callback: (payload: unknown) => void): void;
  decodePayload(payload: unknown, callback: OnPacket): void;
}

/** Whether this is engine.io's parser for protocol 3: that for protocol 4 has no binary payloads. */
export function isParserOfProtocol3(parser: unknown): parser is EngineParser {
  const methods = ['encodePayload', 'encodePayloadAsBinary', 'decodePayload'];
  return (
    typeof parser === 'object' &&
    parser !== null &&
    methods.every((name) => typeof Reflect.get(parser, name) === 'function')
  );
}

/**
 * Returns a copy of the parser for polling clients of 1.x. With `binary` it encodes every payload as binary. It decodes
 * doubly encoded text, and treats a malformed binary payload as one error.
 */
export function adaptParser(parser: EngineParser, { binary }: { readonly binary: boolean }): EngineParser {
  return {
    ...parser,
    encodePayload(packets, supportsBinary, callback) {
      if (binary) parser.encodePayloadAsBinary(packets, callback);
      else parser.encodePayload(packets, supportsBinary, callback);
    },
    decodePayload(payload, callback) {
      if (typeof payload !== 'string') {
        if (countBinaryPackets(payload) !== undefined) parser.decodePayload(payload, callback);
        else callback({ type: 'error', data: 'parser error' }, 0, 1);
        return;
      }
      parser.decodePayload(payload, (packet, index, total) => callback(decodePacket(packet), index, total));
    },
  };
}

/**
 * Counts the packets of a binary payload of protocol 3: each is a 0 or 1, the digits of its length, 255, and its bytes.
 * Returns undefined for a malformed payload. The stock parser creates a packet from every byte of one, which takes seconds
 * and half a gigabyte for 5 MB.
 */
export function countBinaryPackets(payload: unknown): number | undefined {
  if (!(payload instanceof Uint8Array)) return undefined;
  let count = 0;
  let offset = 0;
  while (offset < payload.length) {
    const kind = payload[offset] ?? 255;
    let length = 0;
    for (offset += 1; payload[offset] !== 255; offset += 1) {
      const digit = payload[offset] ?? 255;
      length = length * 10 + digit;
      if (digit > 9 || length > payload.length) return undefined;
    }
    if (kind > 1 || length === 0) return undefined;
    offset += 1 + length;
    count += 1;
  }
  return offset === payload.length ? count : undefined;
}

const decodePacket = (packet: Packet): Packet =>
  typeof packet.data === 'string' ? { ...packet, data: undoSecondUtf8(packet.data) } : packet;

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Undoes the second UTF-8 encoding that clients of 1.x and some apps apply to posted text. Returns text that is not the
 * result of one unchanged. Ambiguous only for text that really contains such sequences as `Ã©`.
 */
export function undoSecondUtf8(text: string): string {
  if (!/[\u0080-\u00ff]/.test(text) || /[\u0100-\uffff]/.test(text)) return text;
  try {
    return strictUtf8.decode(Buffer.from(text, 'latin1'));
  } catch {
    return text;
  }
}
