import type { WebSocket } from 'ws';

const PING_INTERVAL_MS = 30_000;
const SILENCE_TIMEOUT_MS = 90_000;

/**
 * Pings the client, and calls `onSilence` once nothing has arrived for `SILENCE_TIMEOUT_MS`: a network that fails does
 * not close the connection. Returns a function that stops the pings.
 */
export function keepAlive(socket: WebSocket, onSilence: () => void): () => void {
  let receivedAt = performance.now();
  const markReceived = () => void (receivedAt = performance.now());
  socket.on('pong', markReceived).on('message', markReceived).on('ping', markReceived);
  const timer = setInterval(() => {
    if (performance.now() - receivedAt > SILENCE_TIMEOUT_MS) onSilence();
    else socket.ping();
  }, PING_INTERVAL_MS);
  return () => clearInterval(timer);
}
