import { actorKey } from '../actor.ts';
import type { ActorKey } from '../actor.ts';
import type { LiveConnection, LiveSubscription } from '../live-connections.ts';
import type { LegacyConnection } from './connection.ts';

/** Applied twice: to events in flight, and to what the client has not read. */
const END_TIMEOUT_MS = 1_500;

/** A Socket.IO connection as operators see it. */
export class LiveLegacyConnection implements LiveConnection {
  readonly transport = 'socket.io';
  readonly #connection: LegacyConnection;

  constructor(connection: LegacyConnection) {
    this.#connection = connection;
  }

  get id(): string {
    return this.#connection.id;
  }

  get protocol(): string {
    return `Engine.IO ${this.#connection.kind.protocol}, ${this.#connection.transport}`;
  }

  get client(): string {
    return this.#connection.kind.library;
  }

  get address(): string {
    return this.#connection.address;
  }

  get account(): ActorKey | undefined {
    const { actor } = this.#connection;
    return actor && actorKey(actor);
  }

  get openedAt(): number {
    return performance.timeOrigin + this.#connection.startedAt;
  }

  get waitingBytes(): number {
    return this.#connection.waitingBytes;
  }

  get behind(): number {
    return this.#connection.waitingFrames;
  }

  *subscriptions(): Generator<LiveSubscription> {
    for (const topic of this.#connection.topics)
      yield { id: topic, topic, operation: undefined, behind: undefined };
  }

  isOf(account: ActorKey): boolean {
    return this.account === account;
  }

  end(): void {
    void this.#connection.endByOperator(END_TIMEOUT_MS);
  }

  /** There is no frame that says that a room ended, after which the client would join it again. */
  endSubscription(id: string): false | undefined {
    return this.#connection.topics.some((topic) => topic === id) ? undefined : false;
  }
}
