import type { ExecutionResult } from 'graphql';
import { WebSocket } from 'ws';
import { textFrameHead } from '../../lib/websocket-frame.ts';
import type { Receiver } from '../execution/fan-out.ts';
import type { Connection } from './connection.ts';

/** What may wait on a socket before its streams go on by themselves, each result when the one before it has left. */
const MAX_BEHIND_BYTES = 64 * 1024;
/** To copy so much is cheaper than to write two buffers. */
const MAX_COPIED_BYTES = 4 * 1024;

/**
 * Writes results that many get as frames of one subscription, past the library of the protocol: what is the same for
 * all, down to the bytes, is made once. The socket compresses nothing, so that a frame is its text.
 */
export function createReceiver({ socket, stream }: Connection, id: string): Receiver {
  let head: Buffer | undefined;
  let headOf = -1;
  return {
    write(result) {
      if (socket.readyState !== WebSocket.OPEN || stream.writableLength > MAX_BEHIND_BYTES) return false;
      const body = result.encoded(encodeBody);
      if (head === undefined || body.length !== headOf) {
        headOf = body.length;
        head = headFor(id, headOf);
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

/** Has memory of its own: as a part of the pool of small buffers it would hold all of it, for as long as the reader reads. */
function headFor(id: string, bodyLength: number): Buffer {
  const beginning = Buffer.from(`{"id":${JSON.stringify(id)},"type":"next","payload":`);
  const head = textFrameHead(beginning.length + bodyLength);
  const own = Buffer.allocUnsafeSlow(head.length + beginning.length);
  own.set(head);
  own.set(beginning, head.length);
  return own;
}

/** In the order of keys of the protocol's library. */
function encodeBody({ errors, ...rest }: ExecutionResult): Buffer {
  const payload = errors === undefined ? rest : { ...rest, errors: errors.map((error) => error.toJSON()) };
  return Buffer.from(`${JSON.stringify(payload)}}`);
}
