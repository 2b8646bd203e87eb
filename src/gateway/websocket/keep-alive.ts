import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';

const PING_MS = 30_000;
const SILENCE_MS = 90_000;
/** Frames that may be queued on a socket before the server stops reading from its client. */
const MAX_UNREAD_BYTES = 1024 * 1024;

/**
 * Pings the client, and calls `onSilence` once nothing has arrived for `SILENCE_MS`: a network that fails does not close
 * the connection. Returns a function that stops the pings.
 */
export function keepAlive(socket: WebSocket, onSilence: () => void): () => void {
  let receivedAt = performance.now();
  const markReceived = () => void (receivedAt = performance.now());
  socket.on('pong', markReceived).on('message', markReceived).on('ping', markReceived);
  const timer = setInterval(() => {
    if (performance.now() - receivedAt > SILENCE_MS) onSilence();
    else socket.ping();
  }, PING_MS);
  return () => clearInterval(timer);
}

export interface BackpressureEvents {
  onPause(queuedBytes: number): void;
  onResume(): void;
}

/** Stops reading from a client that sends requests or pings faster than it reads the responses. */
export function applyBackpressure(
  socket: WebSocket,
  stream: Duplex,
  { onPause, onResume }: BackpressureEvents,
): void {
  const check = (): void => {
    if (stream.writableLength <= MAX_UNREAD_BYTES || socket.isPaused) return;
    socket.pause();
    // `pause()` has no effect on a socket that is closing.
    if (socket.isPaused) onPause(stream.writableLength);
  };
  socket.on('message', check).on('ping', check);
  stream.on('drain', () => {
    if (!socket.isPaused) return;
    socket.resume();
    onResume();
  });
}
