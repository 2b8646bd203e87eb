import type { ExecutionResult } from 'graphql';
import { WebSocket } from 'ws';
import { textFrameHead } from '../../lib/websocket-frame.ts';
import type { Receiver } from '../execution/fan-out.ts';
import { isBehind } from './backpressure.ts';
import type { WebSocketConnection } from './connection.ts';
import { countHeldBytes } from './held-bytes.ts';

/** Up to this size, copying a body after its head is cheaper than a second write. */
const MAX_COPIED_BYTES = 4 * 1024;

/**
 * Creates the receiver of one subscription. It writes `next` frames directly to the TCP stream, bypassing graphql-ws and
 * `ws`, so that the body is encoded once per group. This requires that the socket compresses nothing and that the Sender
 * of `ws` does not queue (`ws-internals.ts` checks it).
 */
export function createReceiver(connection: WebSocketConnection, id: string): Receiver {
  const { socket, stream } = connection;
  // Bodies of equal length have equal heads, and lengths often repeat.
  let head: Buffer | undefined;
  let headLength = -1;
  return {
    connection: connection.id,
    write(result) {
      if (socket.readyState !== WebSocket.OPEN) return false;
      if (isBehind(stream)) {
        countHeldBytes(connection, 'outbound', stream.writableLength);
        return false;
      }
      const body = result.encoded(encodeBody);
      if (head === undefined || body.length !== headLength) {
        headLength = body.length;
        head = encodeHead(id, headLength);
      }
      if (body.length <= MAX_COPIED_BYTES) stream.write(Buffer.concat([head, body]));
      else {
        stream.cork();
        stream.write(head);
        stream.write(body);
        stream.uncork();
      }
      return true;
    },
  };
}

/** Allocates outside Node's buffer pool: a slice of it would retain the whole 8 KiB pool as long as the subscription. */
function encodeHead(id: string, bodyLength: number): Buffer {
  const prefix = Buffer.from(`{"id":${JSON.stringify(id)},"type":"next","payload":`);
  const head = textFrameHead(prefix.length + bodyLength);
  const frameStart = Buffer.allocUnsafeSlow(head.length + prefix.length);
  frameStart.set(head);
  frameStart.set(prefix, head.length);
  return frameStart;
}

/** Encodes the payload and the closing brace of the frame, with the key order of graphql-ws. */
function encodeBody({ errors, ...rest }: ExecutionResult): Buffer {
  const payload = errors === undefined ? rest : { ...rest, errors: errors.map((error) => error.toJSON()) };
  return Buffer.from(`${JSON.stringify(payload)}}`);
}
