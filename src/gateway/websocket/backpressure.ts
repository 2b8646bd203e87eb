// Backpressure of a GraphQL WebSocket, by the bytes that its client has not read yet (`stream.writableLength`):
//
// - Above 64 KB (`FALLBACK_THRESHOLD_BYTES`), streams leave shared delivery and fall back to the event log (`isBehind`,
//   called by `frame-writer.ts`). On their own, they send each result after the previous one is flushed (`sendFrame`).
// - Above 1 MB, 64 KB for an anonymous client (`PAUSE_THRESHOLD_BYTES`), the server stops reading from the client
//   (`pauseUnread`), which sends requests or pings faster than it reads the responses, and starts none of its queued
//   queries and mutations (`whenRead`).
//
// Results and events that are not written yet are bounded per connection, by `resultsInFlight` and `budget`
// (`connection.ts`).

import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import { encodeTextFrame } from '../../lib/websocket-frame.ts';
import { priorityOf, releaseConnection } from './connection.ts';
import type { WebSocketConnection } from './connection.ts';
import { countHeldBytes } from './held-bytes.ts';

const FALLBACK_THRESHOLD_BYTES = 64 * 1024;
const PAUSE_THRESHOLD_BYTES = { account: 1024 * 1024, anonymous: 64 * 1024 } as const;

/** Whether the client is too far behind for shared delivery. */
export const isBehind = ({ writableLength }: Duplex): boolean => writableLength > FALLBACK_THRESHOLD_BYTES;

/**
 * Sends a frame, as `ws` would, but in one buffer, and with all else that is sent to it in this turn of the event loop,
 * after the shared results that wait for its end. Returns a promise that resolves when more may be sent: once the frame is
 * flushed; undefined below the high-water mark of the TCP stream. When the socket is closed, releases the connection: its
 * streams end, rather than encode for no one what they have buffered.
 */
export function sendFrame(connection: WebSocketConnection, text: string): Promise<void> | undefined {
  const { socket, stream, operations, turnEnd } = connection;
  if (socket.readyState !== WebSocket.OPEN) {
    releaseConnection(connection);
    return undefined;
  }
  turnEnd.cork(stream);
  if (turnEnd.isAwaited) operations.deliver();
  const frame = encodeTextFrame(text);
  if (stream.writableLength + frame.length < stream.writableHighWaterMark) {
    stream.write(frame);
    return undefined;
  }
  // The callback ignores an error: a failed write breaks the connection, and its `close` frees everything.
  const flushed = new Promise<void>((resolve) => stream.write(frame, () => resolve()));
  stream.uncork();
  countHeldBytes(connection, 'outbound', stream.writableLength);
  return flushed;
}

/**
 * Stops reading from a client that sends requests or pings faster than it reads the responses; to be called when it has
 * sent something. Returns whether the socket was paused.
 */
export function pauseUnread(connection: WebSocketConnection): boolean {
  const { socket, reader } = connection;
  if (!isUnread(connection) || reader.isPausedFor('unread')) return false;
  reader.pause('unread');
  // `pause()` has no effect on a socket that is closing.
  return socket.isPaused;
}

/** Reads again from a client that has read what it was sent. Returns whether the socket was paused. */
export function resumeRead({ stream, reader, heldBytes }: WebSocketConnection): boolean {
  heldBytes.outbound?.update(stream.writableLength);
  if (!reader.isPausedFor('unread')) return false;
  reader.resume('unread');
  return true;
}

const isUnread = (connection: WebSocketConnection): boolean =>
  connection.stream.writableLength > PAUSE_THRESHOLD_BYTES[priorityOf(connection)];

/** Resolves when the client has read what was sent, or the connection is closed; undefined if it has read enough. */
export function whenRead(connection: WebSocketConnection): Promise<void> | undefined {
  const { stream } = connection;
  if (!isUnread(connection) || stream.destroyed) return undefined;
  // Each waiting operation listens; the default limit would print a warning.
  stream.setMaxListeners(0);
  return new Promise((resolve) => {
    const finish = (): void => {
      stream.off('drain', finish).off('close', finish);
      resolve();
    };
    stream.on('drain', finish).on('close', finish);
  });
}
