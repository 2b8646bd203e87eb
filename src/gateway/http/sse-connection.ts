import type { ServerResponse } from 'node:http';
import { actorKey } from '../../actor.ts';
import type { ActorKey, Session } from '../../actor.ts';
import { endsStreams } from '../../errors.ts';
import type { ConnectionEnd, EndReason } from '../../errors.ts';
import type { BufferBudget } from '../../lib/buffer-budget.ts';
import type { LiveConnection, LiveSubscription } from '../../live-connections.ts';
import type { OperationOrigin } from '../execution/operation.ts';
import type { ResultStream } from '../execution/result-stream.ts';
import { userAgentOf } from '../user-agents.ts';
import { createEventStreamReceiver } from './sse.ts';
import type { EventStreamReceiver } from './sse.ts';

/** Time for a client to read the end of its response, before its TCP connection is destroyed. */
const CLOSE_TIMEOUT_MS = 3_000;
/** The id of the only subscription. */
const SUBSCRIPTION_ID = '1';

/** An event stream: the response to one request, with one subscription. */
export class SseConnection implements OperationOrigin, LiveConnection {
  readonly id: string;
  readonly transport = 'sse';
  readonly protocol = 'text/event-stream';
  readonly address: string;
  readonly receiver: EventStreamReceiver;
  readonly budget: BufferBudget;
  /** Aborted, with the reason, when the server ends the subscription with an error. */
  readonly endController = new AbortController();
  /** Aborted, with the reason, when the response ends and the subscription does not, so that the client reconnects. */
  readonly closeSignal: AbortSignal;
  /** Undefined for an anonymous client. */
  session: Session | undefined;
  /** Undefined until the subscription is open. */
  results: ResultStream | undefined;
  readonly #startedAt = performance.now();
  readonly #response: ServerResponse;
  readonly #closeController = new AbortController();

  constructor(
    response: ServerResponse,
    id: string,
    address: string,
    budget: BufferBudget,
    drainSignal: AbortSignal,
  ) {
    this.#response = response;
    this.id = id;
    this.address = address;
    this.budget = budget;
    this.receiver = createEventStreamReceiver(id);
    this.closeSignal = AbortSignal.any([this.#closeController.signal, drainSignal]);
  }

  get endReason(): ConnectionEnd | undefined {
    const { reason } = [this.endController.signal, this.closeSignal].find(({ aborted }) => aborted) ?? {};
    return typeof reason === 'string' ? (reason as EndReason) : undefined;
  }

  get durationMs(): number {
    return Math.round(performance.now() - this.#startedAt);
  }

  get openedAt(): number {
    return performance.timeOrigin + this.#startedAt;
  }

  get client(): string | undefined {
    return userAgentOf(this.#response.req);
  }

  get account(): ActorKey | undefined {
    return this.session && actorKey(this.session.actor);
  }

  get waitingBytes(): number {
    return this.receiver.queuedBytes + this.budget.reserved + this.#response.writableLength;
  }

  get behind(): number {
    return this.results?.status?.behind ?? 0;
  }

  *subscriptions(): Generator<LiveSubscription> {
    const status = this.results?.status;
    if (status !== undefined) yield { id: SUBSCRIPTION_ID, ...status };
  }

  isOf(account: ActorKey): boolean {
    return this.account === account;
  }

  end(): void {
    const response = this.#response;
    this.endSession('OPERATOR');
    setTimeout(() => {
      if (!response.writableFinished) response.destroy();
    }, CLOSE_TIMEOUT_MS).unref();
  }

  endSubscription(id: string): boolean {
    return id === SUBSCRIPTION_ID && this.results?.end('OPERATOR') === true;
  }

  endSession(reason: EndReason): void {
    (endsStreams(reason) ? this.endController : this.#closeController).abort(reason);
  }
}
