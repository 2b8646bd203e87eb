import type { Socket as EngineSocket } from 'engine.io';
import type { WebSocket } from 'ws';
import type { SilenceWatch, WatchableConnection } from '../lib/silence-watch.ts';
import { internalsOf } from './engine-io/internals.ts';

/**
 * An Engine.IO session that is watched while it has a WebSocket. The pings are those of WebSockets, which libraries reply to
 * themselves, so that the client sees nothing of them. A silent one stays connected until the timeout of Engine.IO.
 */
export class WatchedSession implements WatchableConnection {
  readonly #silenceWatch: SilenceWatch;
  readonly #conn: EngineSocket;

  constructor(silenceWatch: SilenceWatch, conn: EngineSocket) {
    this.#silenceWatch = silenceWatch;
    this.#conn = conn;
  }

  watch(onSilent: () => void): () => void {
    let unwatch: (() => void) | undefined;
    const start = (): void => {
      const { socket, stream } = internalsOf(this.#conn).transport;
      if (socket === undefined || stream === undefined) return;
      unwatch = this.#silenceWatch.add(socket as unknown as WebSocket, stream, onSilent);
    };
    start();
    // A client that polls may change to a WebSocket.
    if (unwatch === undefined) this.#conn.once('upgrade', start);
    return () => {
      this.#conn.off('upgrade', start);
      unwatch?.();
    };
  }
}
