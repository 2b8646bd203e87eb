import { actorKey } from '../actor.ts';
import type { ActorRef } from '../actor.ts';
import type { ConnectionEnd } from '../errors.ts';
import type { Topic } from '../events/event.ts';
import type { BridgeDeps } from './deps.ts';
import type { ClientKind } from './engine-io/client-detection.ts';

/** The buffers of a connection at the time of a log line. */
export interface QueueSizes {
  /** Packets, and approximate bytes, that the client has not read. */
  readonly queuedPackets: number;
  readonly bufferedBytes: number;
  /** Received events that have not started. */
  readonly queuedEvents: number;
  readonly queuedBytes: number;
  /** Room frames held until the reply to the event being handled. */
  readonly heldFrames: number;
  readonly heldBytes: number;
}

/** Writes the log lines of one connection, with the same fields on each, and its end metric. */
export class ConnectionLog {
  readonly #deps: Pick<BridgeDeps, 'log' | 'metrics'>;
  readonly #id: string;
  readonly kind: ClientKind;
  readonly startedAt = performance.now();
  #actor: ActorRef | undefined;

  constructor(deps: Pick<BridgeDeps, 'log' | 'metrics'>, id: string, kind: ClientKind) {
    this.#deps = deps;
    this.#id = id;
    this.kind = kind;
  }

  authenticated(actor: ActorRef): void {
    this.#actor = actor;
    this.#deps.log.debug(this.#fields(), 'connection authenticated');
  }

  joined(topic: Topic): void {
    this.#deps.log.debug({ ...this.#fields(), topic }, 'room joined');
  }

  /** `reason` is ACCOUNT_CHANGED when the connection has authenticated as another account. */
  left(topic: Topic, reason: ConnectionEnd | 'ACCOUNT_CHANGED'): void {
    this.#deps.log.debug({ ...this.#fields(), topic, reason }, 'room left');
  }

  disconnecting(cause: string, sizes: QueueSizes): void {
    this.#deps.log.warn({ ...this.#fields(), cause, ...sizes }, 'disconnecting legacy client');
  }

  failed(error: unknown, message: string, fields: object = {}): void {
    this.#deps.log.error({ err: error, ...this.#fields(), ...fields }, message);
  }

  /** Closes by clients are routine, and logged at debug. */
  closed(reason: ConnectionEnd): void {
    const { log, metrics } = this.#deps;
    metrics.connectionEnds.inc({ transport: 'socket.io', reason });
    const durationMs = Math.round(performance.now() - this.startedAt);
    const fields = { ...this.#fields(), ...this.kind, reason, durationMs };
    log[reason === 'CLIENT' ? 'debug' : 'info'](fields, 'connection closed');
  }

  #fields() {
    const account = this.#actor && actorKey(this.#actor);
    return { connection: this.#id, account, transport: 'socket.io' };
  }
}
