import { asciiJson } from '../../lib/ascii-json.ts';
import { textFrameHead } from '../../lib/websocket-frame.ts';

/** A Socket.IO packet as all who speak one protocol of Engine.IO get it. */
export interface SharedPacket {
  readonly text: string;
  /** The whole unmasked WebSocket frame of the Engine.IO message that carries it. */
  readonly frame: Buffer;
}

/** Encodes a packet once for each protocol, however many get it: in ASCII for 3, as UTF-8 for 4. */
export function sharePacket(json: string): (protocol: number) => SharedPacket {
  let ascii: SharedPacket | undefined;
  let utf8: SharedPacket | undefined;
  return (protocol) => (protocol === 3 ? (ascii ??= packetOf(asciiJson(json))) : (utf8 ??= packetOf(json)));
}

/** The frame is made when the first one needs it: who polls never does. */
function packetOf(text: string): SharedPacket {
  let frame: Buffer | undefined;
  return {
    text,
    get frame() {
      return (frame ??= frameOf(text));
    },
  };
}

function frameOf(text: string): Buffer {
  const body = Buffer.from(`4${text}`);
  return Buffer.concat([textFrameHead(body.length), body]);
}
