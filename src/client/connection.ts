import type { InnerClient } from './inner.ts';
import { isObject } from './problem.ts';

const TERMINATED = 4499;
const FORBIDDEN = 4403;
const OPEN = 1;
const PING = JSON.stringify({ type: 'ping' });

/** What a subscription learns of the connection it shares with others. */
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
  #heardAt = 0;
  #isPinged = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Refusals of the token in a row: after the first one an app may bring another token. */
  #refusals = 0;

  constructor(client: InnerClient, silenceMs: number) {
    this.#client = client;
    this.#silenceMs = silenceMs;
    this.#listen('opened', (socket) => {
      this.#socket = isSocket(socket) ? socket : undefined;
      this.#hear();
      this.#watch();
    });
    this.#listen('connected', () => void (this.#refusals = 0));
    this.#listen('message', () => this.#hear());
    this.#listen('closed', (event) => this.#closed(event));
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

  /** Sends a ping after two thirds of the silence; whatever comes then ends the silence. */
  #watch(): void {
    this.#rest();
    const socket = this.#socket;
    if (socket === undefined || this.#followers.size === 0 || !(this.#silenceMs > 0)) return;
    const quietMs = performance.now() - this.#heardAt;
    if (quietMs >= this.#silenceMs && this.#isPinged) return this.#abandon(socket);
    const pingMs = (this.#silenceMs * 2) / 3;
    if (quietMs >= pingMs && !this.#isPinged) {
      this.#isPinged = true;
      if (socket.readyState === OPEN) socket.send(PING);
    }
    const dueMs = this.#isPinged
      ? Math.max(this.#silenceMs - quietMs, this.#silenceMs - pingMs)
      : pingMs - quietMs;
    this.#timer = setTimeout(() => this.#watch(), dueMs);
  }

  #abandon(socket: Socket): void {
    this.#client.terminate?.();
    socket.terminate?.();
  }
}

const isSocket = (value: unknown): value is Socket => isObject(value) && typeof value['send'] === 'function';
