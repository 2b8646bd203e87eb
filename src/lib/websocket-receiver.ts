import type { Duplex, Writable } from 'node:stream';
import * as ws from 'ws';
import type { WebSocket } from 'ws';
import { MIN_COUNTED_BYTES } from './byte-ledger.ts';
import type { InflowLimit } from './inflow-limit.ts';
import { callAfter } from './timeout.ts';
import type { TurnClock } from './turn-clock.ts';

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

export interface ReceiveLimits {
  readonly turnClock: Pick<TurnClock, 'isOver' | 'nextTurn'>;
  /** For anonymous clients. */
  readonly inflow: InflowLimit;
  /** The key of the account of the client; undefined while it is anonymous. */
  flowOf(): string | undefined;
}

/**
 * Makes the socket parse what it receives in a later turn if one is over, so that a flood of frames on many sockets leaves
 * time for requests; and what is large, of an anonymous client, when that is within the rate. `ws` stops reading meanwhile.
 * To be called with the TCP stream when `ws` listens to it.
 */
export function limitReceiving(socket: WebSocket, stream: Duplex, limits: ReceiveLimits): void {
  // Before the listener of `ws`.
  stream.prependListener('data', (chunk: Buffer) => {
    const receiver = receiverOf(socket);
    if (receiver === undefined) return;
    const { turnClock, inflow } = limits;
    const flow = limits.flowOf();
    const isLarge = receivedBytes(socket) + chunk.length >= MIN_COUNTED_BYTES;
    const delayMs = isLarge && flow === undefined ? inflow.add(chunk.length) : 0;
    if (receiver.writableCorked > 0 || (delayMs === 0 && !turnClock.isOver())) return;
    receiver.cork();
    receiver._writev ??= writeTogether;
    const parse = (): void => void turnClock.nextTurn(flow).then(() => uncork(receiver));
    if (delayMs === 0) parse();
    else callAfter(delayMs, stream, parse);
  });
}

function uncork(receiver: ReceiverInternals): void {
  // Node 24.21 never finishes a stream that ends itself while it writes the last of its corked chunks, as the receiver
  // does for a close frame: the socket would never emit `close`. An empty chunk with a callback, behind it, finishes it.
  if (!receiver.writableEnded) receiver.write(EMPTY, () => undefined);
  receiver.uncork();
}

const EMPTY = Buffer.alloc(0);

/**
 * Parses corked chunks as one. One by one, Node 24 would write those behind a chunk that has failed too, and a receiver of
 * `ws` that parses after an error throws.
 */
function writeTogether(
  this: ReceiverInternals,
  chunks: readonly { readonly chunk: Buffer }[],
  callback: (error?: Error | null) => void,
): void {
  this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'binary', callback);
}

/** The newest ping of each socket that has a pong to send. */
const unansweredPings = new WeakMap<WebSocket, Buffer>();

/**
 * Replies to a ping, to the newest of those that arrive together (RFC 6455, 5.5.3), so that a flood of them is cheap. The
 * server of the socket must be created with `autoPong: false`.
 */
export function replyToPing(socket: WebSocket, payload: Buffer): void {
  if (!unansweredPings.has(socket))
    setImmediate(() => {
      socket.pong(unansweredPings.get(socket));
      unansweredPings.delete(socket);
    });
  unansweredPings.set(socket, payload);
}
