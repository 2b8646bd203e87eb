import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';

const PING_INTERVAL_MS = 2_000;
/** Pings without a reply after which a client is silent: 10 to 12 s after its network was lost. */
const MAX_UNANSWERED_PINGS = 5;
const TICK_MS = 100;
/** With more than 20,000 clients the interval grows, so that the pings of a tick take little time. */
const MAX_PINGS_PER_TICK = 1_000;

/** A connection that can find out soon whether its client is still there. */
export interface WatchableConnection {
  /** Watches the client until the returned function is called. Calls back, once, when it no longer replies. */
  watch(onSilent: () => void): () => void;
}

/** Pings the clients of WebSockets that are watched, and finds those that no longer reply. Others are not pinged. */
export class SilenceWatch {
  /** Those that are due soonest first. */
  readonly #clients = new Map<WebSocket, PingedClient>();
  #timer: NodeJS.Timeout | undefined;

  /**
   * Watches a WebSocket over a stream until the returned function is called, once for each call. Calls back when the client
   * has not replied to `MAX_UNANSWERED_PINGS`; then the WebSocket is no longer watched.
   */
  add(socket: WebSocket, stream: Duplex, onSilent: () => void): () => void {
    const client = this.#clients.get(socket) ?? this.#open(socket, stream);
    client.callbacks.add(onSilent);
    return () => {
      if (client.callbacks.delete(onSilent) && client.callbacks.size === 0) this.#close(client);
    };
  }

  #open(socket: WebSocket, stream: Duplex): PingedClient {
    const client = new PingedClient(socket, stream);
    this.#clients.set(socket, client);
    // After the sockets have been read: no ping counts as unanswered whose reply has arrived.
    this.#timer ??= setInterval(() => setImmediate(() => this.#pingDue()), TICK_MS).unref();
    return client;
  }

  #close(client: PingedClient): void {
    client.close();
    this.#clients.delete(client.socket);
    if (this.#clients.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #pingDue(): void {
    const now = performance.now();
    let left = MAX_PINGS_PER_TICK;
    for (const client of this.#clients.values()) {
      if (client.dueAt > now || left === 0) return;
      left -= 1;
      if (client.ping(now)) {
        this.#clients.delete(client.socket);
        this.#clients.set(client.socket, client);
      } else {
        this.#close(client);
        for (const onSilent of client.callbacks) onSilent();
      }
    }
  }
}

class PingedClient {
  readonly socket: WebSocket;
  readonly callbacks = new Set<() => void>();
  dueAt = performance.now();
  readonly #stream: Duplex;
  /** Pings since the client last sent anything. */
  #unanswered = 0;
  readonly #onData = () => void (this.#unanswered = 0);

  constructor(socket: WebSocket, stream: Duplex) {
    this.socket = socket;
    this.#stream = stream;
    stream.on('data', this.#onData);
  }

  /** Returns false if the client is silent, and sends a ping otherwise. */
  ping(now: number): boolean {
    this.dueAt = now + PING_INTERVAL_MS;
    // While its frames wait for their turn, nothing is read from a client: it may have replied.
    if (this.#stream.isPaused()) this.#unanswered = 0;
    else if (this.#unanswered === MAX_UNANSWERED_PINGS) return false;
    this.#unanswered += 1;
    this.socket.ping();
    return true;
  }

  close(): void {
    this.#stream.off('data', this.#onData);
  }
}
