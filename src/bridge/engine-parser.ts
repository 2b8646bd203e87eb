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
      if (typeof payload !== 'string') return parser.decodePayload(payload, callback);
      parser.decodePayload(payload, (packet, index, total) => callback(mend(packet), index, total));
    },
  };
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
