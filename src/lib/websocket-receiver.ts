import type { Duplex, Writable } from 'node:stream';
import * as ws from 'ws';
import type { WebSocket } from 'ws';
import type { Priority, TurnClock } from './turn-clock.ts';

/** The parser of a `ws` WebSocket, which the socket does not expose. */
interface ReceiverInternals extends Writable {
  /** Bytes of a frame that is not complete. */
  readonly _bufferedBytes: number;
  /** Bytes of the fragments of a message that is not complete. */
  readonly _messageLength: number;
}

/** Throws an Error if the parser of `ws` lacks a private member that is used here. */
export function requireReceiverInternals(library: object = ws): void {
  const receiverClass = Reflect.get(library, 'Receiver') as (new () => object) | undefined;
  const receiver = receiverClass === undefined ? {} : new receiverClass();
  const missing = ['_bufferedBytes', '_messageLength'].filter(
    (name) => typeof Reflect.get(receiver, name) !== 'number',
  );
  if (missing.length > 0) throw new Error(`ws lacks what limits of memory need: ${missing.join(', ')}`);
}

const receiverOf = (socket: WebSocket): ReceiverInternals | undefined =>
  Reflect.get(socket, '_receiver') as ReceiverInternals | undefined;

/** Returns the bytes received of a message that is not complete. */
export function receivedBytes(socket: WebSocket): number {
  const receiver = receiverOf(socket);
  return receiver === undefined
    ? 0
    : receiver._bufferedBytes + receiver._messageLength + receiver.writableLength;
}

/**
 * Parses what the socket receives in turns of the clock, so that a flood of frames on many sockets leaves time for
 * requests. `ws` stops reading meanwhile.
 */
export function parseInTurns(
  socket: WebSocket,
  stream: Duplex,
  turnClock: TurnClock,
  priority: () => Priority,
): void {
  const receiver = receiverOf(socket);
  if (receiver === undefined) return;
  let isWaiting = false;
  // Before the listener of `ws`, which passes the data on.
  stream.prependListener('data', () => {
    if (isWaiting || !turnClock.isOver()) return;
    isWaiting = true;
    receiver.cork();
    void turnClock.nextTurn(priority()).then(() => {
      isWaiting = false;
      receiver.uncork();
    });
  });
}

/**
 * Replies to pings, to the newest of those that arrive together (RFC 6455, 5.5.3), so that a flood of them is cheap. The
 * server of the socket must be created with `autoPong: false`.
 */
export function replyToPings(socket: WebSocket): void {
  let payload: Buffer | undefined;
  socket.on('ping', (data: Buffer) => {
    if (payload === undefined)
      setImmediate(() => {
        socket.pong(payload);
        payload = undefined;
      });
    payload = data;
  });
}
