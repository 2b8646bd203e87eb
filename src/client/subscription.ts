import { Backoff } from './backoff.ts';
import type { Connection, Follower } from './connection.ts';
import type { InnerClient, Result, Sink, SubscribeListeners } from './inner.ts';
import { noCursor } from './plan.ts';
import type { Plan } from './plan.ts';
import { Position } from './position.ts';
import type { Step } from './position.ts';
import { isObject, judge } from './problem.ts';
import type { Verdict } from './problem.ts';
import type { ExpiredCursor, OperationPayload, ResumableOptions, SubscriptionState } from './types.ts';

/** Where results go. One that has no room leaves the result, and those after it, to the log of the server. */
export interface Reader extends Sink {
  hasRoom?(result: Result): boolean;
}

export interface Shared {
  readonly client: InnerClient;
  readonly connection: Connection;
  readonly options: ResumableOptions;
  readonly retryDelay: (attempt: number) => number;
  /** Of one event stream; 0 for a WebSocket, which is watched as a whole. */
  readonly silenceMs: number;
}

export interface Order {
  readonly payload: OperationPayload;
  readonly plan: Plan;
  readonly reader: Reader;
  readonly listeners: SubscribeListeners | undefined;
}

/**
 * One subscription of the app: a chain of subscriptions of the wrapped client, each of which starts after the newest
 * cursor. The wrapped client encodes the payload anew whenever it connects, so the cursor is put into variables that
 * are this module's own; what comes from a superseded link of the chain is dropped.
 */
export class Subscription implements Follower {
  readonly #shared: Shared;
  readonly #order: Order;
  readonly #payload: OperationPayload;
  readonly #position: Position | undefined;
  readonly #backoff: Backoff;
  #plan: Plan;
  #link = 0;
  #stop: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #renewals = 0;
  #isPaused = false;
  #isOver = false;
  #status: SubscriptionState['status'] | undefined;

  constructor(shared: Shared, order: Order) {
    const { payload, plan } = order;
    const variables = { ...payload.variables };
    this.#shared = shared;
    this.#order = order;
    this.#plan = plan;
    this.#payload = { ...payload, variables };
    this.#position = 'cursor' in plan ? new Position(variables, plan.cursor) : undefined;
    this.#backoff = new Backoff(shared.retryDelay);
    shared.connection.add(this);
  }

  start(): void {
    this.#backoff.started();
    const link = (this.#link += 1);
    const isPresent = (): boolean => link === this.#link;
    try {
      const stop = this.#shared.client.subscribe(
        this.#payload,
        {
          next: (result) => void (isPresent() && this.#receive(result)),
          error: (problem) => void (isPresent() && this.handle(problem)),
          complete: () => void (isPresent() && this.#finish(() => this.#order.reader.complete())),
        },
        this.#listeners(isPresent),
      );
      if (!isPresent()) return stop();
      this.#stop = stop;
      this.#watchSilence();
    } catch (problem) {
      this.#fail(problem);
    }
  }

  /** Goes on after a pause, which a reader without room has brought about. */
  resume(): void {
    if (!this.#isPaused || this.#isOver) return;
    this.#isPaused = false;
    this.start();
  }

  /** Ends it, and tells its reader so later, as the wrapped clients do. */
  unsubscribe(): void {
    this.#finish(() => queueMicrotask(() => this.#order.reader.complete()));
  }

  lost(isAbandoned: boolean): void {
    const isRunning = this.#stop !== undefined;
    this.#backoff.lost();
    this.#setStatus('behind');
    if (isAbandoned && isRunning) this.#retry(0);
  }

  handle(problem: unknown): void {
    if (this.#isOver) return;
    const verdict = this.#judge(problem);
    switch (verdict.type) {
      case 'retry':
        return this.#retry(verdict.afterMs);
      case 'expired':
        return void this.#renew(verdict, problem);
      case 'fatal':
        return this.#fail(problem);
    }
  }

  #judge(problem: unknown): Verdict {
    if (this.#isPlain) return { type: 'fatal' };
    const verdict = judge(problem);
    if (verdict.type === 'expired') return this.#position === undefined ? { type: 'fatal' } : verdict;
    const choice = this.#shared.options.shouldRetry?.(problem);
    if (choice === false) return { type: 'fatal' };
    return choice === true && verdict.type === 'fatal' ? { type: 'retry', afterMs: 0 } : verdict;
  }

  get #isPlain(): boolean {
    return this.#plan.type === 'plain' || this.#plan.type === 'unknown';
  }

  #listeners(isPresent: () => boolean): SubscribeListeners {
    const { listeners } = this.#order;
    return {
      ...listeners,
      connecting: (isRetry) => {
        if (isPresent()) this.#backoff.connecting();
        if (isRetry && isPresent()) this.#setStatus('behind');
        listeners?.connecting?.(isRetry);
      },
      connected: (wasRetry) => {
        if (isPresent()) this.#watchSilence();
        listeners?.connected?.(wasRetry);
      },
    };
  }

  #receive(result: Result): void {
    this.#watchSilence();
    const { data, errors } = result;
    if ((data === undefined || data === null) && errors !== undefined && errors.length > 0) {
      const isEnd = this.#plan.type === 'durable' && (!this.#backoff.isHeard || errors.some(isOfStream));
      if (!this.#isPlain && (isEnd || judge(errors).type !== 'fatal')) return this.handle(errors);
    }
    this.#backoff.heard();
    const value = isObject(data) ? Object.values(data)[0] : undefined;
    if (this.#position === undefined || this.#plan.type === 'plain' || !isObject(value))
      return this.#deliverUncounted(result);
    const step = this.#position.read(value);
    if (step !== undefined) return this.#deliverAt(this.#position, step, result);
    if (this.#plan.type !== 'unknown') return this.#fail(new Error(noCursor('A subscription')));
    this.#plan = { type: 'plain' };
    this.#deliverUncounted(result);
  }

  /** What has no place in a log: it is lost when nobody has room for it. */
  #deliverUncounted(result: Result): void {
    this.#backoff.succeeded();
    const { reader } = this.#order;
    if (reader.hasRoom?.(result) === false) return this.#fail(new Error(TOO_SLOW));
    this.#deliver(result);
  }

  #deliverAt(position: Position, { cursor, isLive, isRepeated }: Step, result: Result): void {
    if (this.#plan.type === 'unknown') this.#plan = { type: 'durable', cursor: this.#plan.cursor };
    const link = this.#link;
    if (!isRepeated && this.#order.reader.hasRoom?.(result) === false) return this.#pause();
    // Before it is delivered: an app may do anything then, also what makes the wrapped client connect again.
    position.moveTo(cursor, isLive);
    if (!isRepeated) this.#deliver(result);
    if (link !== this.#link || (position.hasTypes && !isLive)) return;
    this.#backoff.succeeded();
    this.#renewals = 0;
    this.#setStatus('live');
  }

  #deliver(result: Result): void {
    try {
      this.#order.reader.next(result);
    } catch (problem) {
      this.#fail(problem);
    }
  }

  #pause(): void {
    this.#release();
    this.#isPaused = true;
    this.#setStatus('behind');
  }

  #retry(afterMs: number): void {
    const delayMs = this.#backoff.nextDelay(afterMs, this.#shared.connection.connectingAt);
    this.#release();
    this.#setStatus('behind');
    if (this.#isOver) return;
    this.#timer = setTimeout(() => this.start(), delayMs);
  }

  async #renew({ code, oldest }: Omit<ExpiredCursor, 'payload'>, problem: unknown): Promise<void> {
    const { payload } = this.#order;
    this.#release();
    this.#setStatus('behind');
    try {
      const cursor = await this.#shared.options.onExpired?.({
        payload,
        code,
        ...(oldest !== undefined && { oldest }),
      });
      if (this.#isOver) return;
      if (typeof cursor !== 'string' || cursor === '') return this.#fail(problem);
      this.#position?.moveTo(cursor);
    } catch (failure) {
      return this.#fail(failure);
    }
    this.#renewals += 1;
    if (this.#renewals === 1) this.start();
    else this.#retry(0);
  }

  #setStatus(status: SubscriptionState['status']): void {
    if (this.#isOver || this.#plan.type !== 'durable' || this.#status === status) return;
    this.#status = status;
    try {
      this.#shared.options.onState?.({
        payload: this.#order.payload,
        status,
        cursor: this.#position?.cursor ?? null,
      });
    } catch (problem) {
      this.#fail(problem);
    }
  }

  /** An event stream that says nothing for so long is resumed: nobody tells when its connection is half open. */
  #watchSilence(): void {
    clearTimeout(this.#silence);
    const { silenceMs } = this.#shared;
    if (!(silenceMs > 0) || this.#isPlain || this.#isOver) return;
    this.#silence = setTimeout(() => {
      if (!this.#backoff.isHeard) return this.#retry(0);
      this.#release();
      this.start();
    }, silenceMs);
  }

  #fail(problem: unknown): void {
    this.#finish(() => this.#order.reader.error(problem));
  }

  #finish(tell: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#release();
    this.#shared.connection.delete(this);
    tell();
  }

  /** Ends the present link. The wrapped client counts an ended subscription until it is stopped. */
  #release(): void {
    this.#link += 1;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    const stop = this.#stop;
    this.#stop = undefined;
    stop?.();
  }
}

const TOO_SLOW =
  'The reader of iterate() fell too far behind. What it reads is not kept by the server, so the subscription ends.';

/** One event's errors have the path of a field. */
const isOfStream = (error: unknown): boolean => isObject(error) && !Array.isArray(error['path']);
