import type { WebSocket } from 'ws';

const PING_INTERVAL_MS = 30_000;
const SILENCE_TIMEOUT_MS = 90_000;

/** Times of one connection, in milliseconds of the monotonic clock. */
export interface KeepAliveTimes {
  /** When the client last sent anything. */
  receivedAt: number;
  /** When it was last sent a ping; at first, when the connection was opened. */
  pingedAt: number;
}

/**
 * Pings the client when that is due; to be called every second. Returns false once nothing has arrived for
 * `SILENCE_TIMEOUT_MS`: a network that fails does not close the connection.
 */
export function pingWhenDue(socket: WebSocket, times: KeepAliveTimes, now: number): boolean {
  if (now - times.pingedAt < PING_INTERVAL_MS) return true;
  if (now - times.receivedAt > SILENCE_TIMEOUT_MS) return false;
  times.pingedAt = now;
  socket.ping();
  return true;
}
