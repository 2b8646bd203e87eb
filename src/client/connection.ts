import type { InnerClient } from './inner.ts';
import { isObject } from './problem.ts';

const TERMINATED = 4499;
const FORBIDDEN = 4403;
const OPEN = 1;
const PING = JSON.stringify({ type: 'ping' });
/** The part of the silence after which a ping is sent. */
const PING_AT = 2 / 3;

/** What a subscription learns of the connection that it shares with others. */
export interface Follower {
  /** The connection is lost. What was abandoned may still deliver. */
  lost(isAbandoned: boolean): void;
  handle(problem: unknown): void;
}

interface Socket {
  readonly readyState: number;
  send(text: string): void;
  /** Only in `ws`: frees a socket whose peer does not answer its close. */
  terminate?(): void;
}

/** Follows the one WebSocket of a graphql-ws client, and abandons it when nothing more comes from it. */
export class Connection {
  readonly #client: InnerClient;
  readonly #silenceMs: number;
  readonly #followers = new Set<Follower>();
  readonly #unlisten: (() => void)[] = [];
  #socket: Socket | undefined;
  #isConnecting = false;
  #connectingAt = 0;
  #heardAt = 0;
  #isPinged = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** `ws` throws where nobody can catch it when it is closed while it connects. */
  #mayCloseEarly = 'document' in globalThis || 'WorkerGlobalScope' in globalThis;
  /** Refusals of the token in a row: after the first one an app may bring another token. */
  #refusals = 0;

  constructor(client: InnerClient, silenceMs: number) {
    this.#client = client;
    this.#silenceMs = silenceMs;
    this.#listen('connecting', () => {
      this.#isConnecting = true;
      this.#connectingAt = performance.now();
      this.#hear();
      this.#watch();
    });
    this.#listen('opened', (socket) => {
      this.#isConnecting = false;
      this.#socket = isSocket(socket) ? socket : undefined;
      this.#mayCloseEarly = this.#socket?.terminate === undefined;
      this.#hear();
      this.#watch();
    });
    this.#listen('connected', () => void (this.#refusals = 0));
    this.#listen('message', () => this.#hear());
    this.#listen('closed', (event) => this.#closed(event));
  }

  /** When the client last began to connect, after all that it waited by itself. */
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
    if (this.#followers.size === 0) this.#rest();
  }

  /** Frees its listeners and its timer. */
  close(): void {
    for (const unlisten of this.#unlisten) unlisten();
    this.#rest();
  }

  #listen(event: string, listener: (value: unknown) => void): void {
    const unlisten = this.#client.on?.(event, listener);
    if (unlisten !== undefined) this.#unlisten.push(unlisten);
  }

  #closed(event: unknown): void {
    this.#socket = undefined;
    this.#isConnecting = false;
    this.#rest();
    const code = isObject(event) ? event['code'] : undefined;
    this.#refusals = code === FORBIDDEN ? this.#refusals + 1 : 0;
    for (const follower of this.#followers) {
      if (this.#refusals > 1) follower.handle(event);
      else follower.lost(code === TERMINATED);
    }
  }

  #hear(): void {
    this.#heardAt = performance.now();
    this.#isPinged = false;
  }

  #rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #watch(): void {
    this.#rest();
    if (this.#followers.size === 0 || !(this.#silenceMs > 0)) return;
    const quietMs = performance.now() - this.#heardAt;
    const dueMs = this.#isConnecting ? this.#watchConnecting(quietMs) : this.#watchOpen(quietMs);
    if (dueMs !== undefined) this.#timer = setTimeout(() => this.#watch(), dueMs);
  }

  /** Returns when to look again. */
  #watchConnecting(quietMs: number): number | undefined {
    if (quietMs < this.#silenceMs) return this.#silenceMs - quietMs;
    if (this.#mayCloseEarly) this.#client.terminate?.();
    return undefined;
  }

  /** Whatever comes after the ping ends the silence. Returns when to look again. */
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
