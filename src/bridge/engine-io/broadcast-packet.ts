import { asciiJson } from '../../lib/ascii-json.ts';
import { textFrameHead } from '../../lib/websocket-frame.ts';

/** A Socket.IO packet, encoded for all receivers that use one protocol of Engine.IO. */
export interface BroadcastPacket {
  readonly text: string;
  /** The complete unmasked WebSocket frame of the Engine.IO message that carries the packet. */
  readonly frame: Buffer;
}

/** Returns an encoder that encodes a packet at most once per protocol: as ASCII for 3, as UTF-8 for 4. */
export function encodeBroadcast(json: string): (protocol: number) => BroadcastPacket {
  let ascii: BroadcastPacket | undefined;
  let utf8: BroadcastPacket | undefined;
  return (protocol) =>
    protocol === 3 ? (ascii ??= createPacket(asciiJson(json))) : (utf8 ??= createPacket(json));
}

/** Encodes the frame on first use: polling clients do not need it. */
function createPacket(text: string): BroadcastPacket {
  let frame: Buffer | undefined;
  return {
    text,
    get frame() {
      return (frame ??= encodeFrame(text));
    },
  };
}

function encodeFrame(text: string): Buffer {
  const body = Buffer.from(`4${text}`);
  return Buffer.concat([textFrameHead(body.length), body]);
}
