import { WebSocket } from 'ws';
import { actorKey } from '../../actor.ts';
import type { ActorKey } from '../../actor.ts';
import type { LiveConnection, LiveSubscription } from '../../live-connections.ts';
import { endConnection } from './connection.ts';
import type { WebSocketConnection } from './connection.ts';

/** Time for a client to answer the close, before its connection is destroyed: it may have stopped reading. */
const CLOSE_TIMEOUT_MS = 3_000;

/** A GraphQL WebSocket as operators see it. */
export class LiveWebSocket implements LiveConnection {
  readonly transport = 'graphql-ws';
  readonly protocol = 'graphql-transport-ws';
  readonly #connection: WebSocketConnection;

  constructor(connection: WebSocketConnection) {
    this.#connection = connection;
  }

  get id(): string {
    return this.#connection.id;
  }

  get client(): string | undefined {
    return this.#connection.userAgent;
  }

  get address(): string {
    return this.#connection.address;
  }

  get account(): ActorKey | undefined {
    const { liveSession } = this.#connection;
    return liveSession && actorKey(liveSession.session.actor);
  }

  get openedAt(): number {
    return performance.timeOrigin + this.#connection.openedAt;
  }

  get waitingBytes(): number {
    return this.#connection.stream.writableLength + this.#connection.budget.reserved;
  }

  get behind(): number {
    let most = 0;
    for (const { behind = 0 } of this.subscriptions()) most = Math.max(most, behind);
    return most;
  }

  *subscriptions(): Generator<LiveSubscription> {
    for (const [id, results] of this.#connection.operations.listResults()) {
      const { status } = results;
      if (status !== undefined) yield { id, ...status };
    }
  }

  isOf(account: ActorKey): boolean {
    if (this.account === account) return true;
    for (const { session } of this.#connection.ownSessions?.values() ?? [])
      if (actorKey(session.actor) === account) return true;
    return false;
  }

  end(): void {
    const { socket } = this.#connection;
    endConnection(this.#connection, 'OPERATOR');
    setTimeout(() => {
      if (socket.readyState !== WebSocket.CLOSED) socket.terminate();
    }, CLOSE_TIMEOUT_MS).unref();
  }

  endSubscription(id: string): boolean {
    return this.#connection.operations.findResults(id)?.end('OPERATOR') ?? false;
  }
}
