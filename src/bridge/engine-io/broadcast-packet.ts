import { asciiJson } from '../../lib/ascii-json.ts';
import { textFrameHead } from '../../lib/websocket-frame.ts';

/** A Socket.IO packet, encoded for all receivers that use one protocol of Engine.IO. */
export interface BroadcastPacket {
  readonly text: string;
  /** The complete unmasked WebSocket frame of the Engine.IO message that carries the packet. */
  readonly webSocketFrame: Buffer;
}

/** Returns an encoder that encodes a packet at most once per protocol: as ASCII for 3, as UTF-8 for 4. */
export function encodeBroadcast(json: string): (protocol: number) => BroadcastPacket {
  let ascii: BroadcastPacket | undefined;
  let utf8: BroadcastPacket | undefined;
  return (protocol) =>
    protocol === 3 ? (ascii ??= createPacket(asciiJson(json))) : (utf8 ??= createPacket(json));
}

/** Creates a packet. Its WebSocket frame is encoded on first use: polling clients do not need it. */
function createPacket(text: string): BroadcastPacket {
  let webSocketFrame: Buffer | undefined;
  return {
    text,
    get webSocketFrame() {
      return (webSocketFrame ??= encodeWebSocketFrame(text));
    },
  };
}

function encodeWebSocketFrame(text: string): Buffer {
  const body = Buffer.from(`4${text}`);
  return Buffer.concat([textFrameHead(body.length), body]);
}
