import type { InnerClient } from './inner.ts';
import { isObject } from './problem.ts';

const TERMINATED = 4499;
const FORBIDDEN = 4403;
const OPEN = 1;
const PING = JSON.stringify({ type: 'ping' });
/** Fraction of the silence timeout after which a ping is sent. */
const PING_AT = 2 / 3;

/** A subscription, as the listener of the connection that it shares with others. */
export interface Follower {
  /** Called when the connection is lost. An abandoned socket may still deliver messages. */
  onLost(isAbandoned: boolean): void;
  onProblem(problem: unknown): void;
}

interface Socket {
  readonly readyState: number;
  send(text: string): void;
  /** Only in `ws`: destroys a socket whose peer does not reply to the close frame. */
  terminate?(): void;
}

/** Watches the WebSocket of a graphql-ws client and abandons it when it is silent for too long. */
export class ConnectionMonitor {
  readonly #client: InnerClient;
  readonly #silenceMs: number;
  readonly #followers = new Set<Follower>();
  readonly #unlisten: (() => void)[] = [];
  #socket: Socket | undefined;
  #isConnecting = false;
  #connectingAt = 0;
  #receivedAt = 0;
  #isPinged = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** `ws` 8 emits an uncaught error when closed while connecting; browsers do not. */
  #mayCloseEarly = 'document' in globalThis || 'WorkerGlobalScope' in globalThis;
  /** Consecutive closes with 4403 (token rejected): after the first, the app may provide another token. */
  #rejections = 0;

  constructor(client: InnerClient, silenceMs: number) {
    this.#client = client;
    this.#silenceMs = silenceMs;
    this.#listen('connecting', () => {
      this.#isConnecting = true;
      this.#connectingAt = performance.now();
      this.#markReceived();
      this.#watch();
    });
    this.#listen('opened', (socket) => {
      this.#isConnecting = false;
      this.#socket = isSocket(socket) ? socket : undefined;
      this.#mayCloseEarly = this.#socket?.terminate === undefined;
      this.#markReceived();
      this.#watch();
    });
    this.#listen('connected', () => void (this.#rejections = 0));
    this.#listen('message', () => this.#markReceived());
    this.#listen('closed', (event) => this.#onClosed(event));
  }

  /** Time at which the client last started to connect, after its own retry delay. */
  get connectingAt(): number {
    return this.#connectingAt;
  }

  get isOpen(): boolean {
    return this.#socket !== undefined;
  }

  add(follower: Follower): void {
    this.#followers.add(follower);
    if (this.#timer === undefined) this.#watch();
  }

  delete(follower: Follower): void {
    this.#followers.delete(follower);
    if (this.#followers.size === 0) this.#stopTimer();
  }

  /** Removes its listeners and its timer. */
  close(): void {
    for (const unlisten of this.#unlisten) unlisten();
    this.#stopTimer();
  }

  #listen(event: string, listener: (value: unknown) => void): void {
    const unlisten = this.#client.on?.(event, listener);
    if (unlisten !== undefined) this.#unlisten.push(unlisten);
  }

  #onClosed(event: unknown): void {
    this.#socket = undefined;
    this.#isConnecting = false;
    this.#stopTimer();
    const code = isObject(event) ? event['code'] : undefined;
    this.#rejections = code === FORBIDDEN ? this.#rejections + 1 : 0;
    for (const follower of this.#followers) {
      if (this.#rejections > 1) follower.onProblem(event);
      else follower.onLost(code === TERMINATED);
    }
  }

  #markReceived(): void {
    this.#receivedAt = performance.now();
    this.#isPinged = false;
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #watch(): void {
    this.#stopTimer();
    if (this.#followers.size === 0 || !(this.#silenceMs > 0)) return;
    const quietMs = performance.now() - this.#receivedAt;
    const dueMs = this.#isConnecting ? this.#watchConnecting(quietMs) : this.#watchOpen(quietMs);
    if (dueMs !== undefined) this.#timer = setTimeout(() => this.#watch(), dueMs);
  }

  /** Returns the milliseconds until the next check. */
  #watchConnecting(quietMs: number): number | undefined {
    if (quietMs < this.#silenceMs) return this.#silenceMs - quietMs;
    if (this.#mayCloseEarly) this.#client.terminate?.();
    return undefined;
  }

  /** Pings a silent socket, then terminates it: any message ends the silence. Returns the milliseconds until the next check. */
  #watchOpen(quietMs: number): number | undefined {
    const socket = this.#socket;
    if (socket === undefined) return undefined;
    const pingMs = this.#silenceMs * PING_AT;
    if (quietMs < pingMs) return pingMs - quietMs;
    if (!this.#isPinged) {
      this.#isPinged = true;
      if (socket.readyState === OPEN) socket.send(PING);
      return this.#silenceMs - pingMs;
    }
    this.#client.terminate?.();
    socket.terminate?.();
    return undefined;
  }
}

const isSocket = (value: unknown): value is Socket => isObject(value) && typeof value['send'] === 'function';
