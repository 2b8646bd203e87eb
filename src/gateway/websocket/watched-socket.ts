import type { SilenceWatch, WatchableConnection } from '../../lib/silence-watch.ts';
import type { WebSocketConnection } from './connection.ts';

/** Closes the connection of a client that no longer replies. */
export function endSilent(connection: WebSocketConnection): void {
  connection.endReason ??= 'SILENT';
  connection.socket.terminate();
}

/** A GraphQL WebSocket that is closed when it is watched and its client no longer replies. */
export class WatchedWebSocket implements WatchableConnection {
  readonly #silenceWatch: SilenceWatch;
  readonly #connection: WebSocketConnection;

  constructor(silenceWatch: SilenceWatch, connection: WebSocketConnection) {
    this.#silenceWatch = silenceWatch;
    this.#connection = connection;
  }

  watch(onSilent: () => void): () => void {
    const connection = this.#connection;
    return this.#silenceWatch.add(connection.socket, connection.stream, () => {
      onSilent();
      endSilent(connection);
    });
  }
}
