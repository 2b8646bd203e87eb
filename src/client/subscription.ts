import type { Connection, Follower } from './connection.ts';
import type { InnerClient, Result, Sink, SubscribeListeners } from './inner.ts';
import { noCursor } from './plan.ts';
import type { CursorPlan, Plan } from './plan.ts';
import { isObject, judge } from './problem.ts';
import type { Verdict } from './problem.ts';
import type { ExpiredCursor, OperationPayload, ResumableOptions, SubscriptionState } from './types.ts';

/** After so long without an end the next one counts as the first. */
const LONG_LIFE_MS = 60_000;

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
  readonly #variables: Record<string, unknown>;
  readonly #payload: OperationPayload;
  #plan: Plan;
  #link = 0;
  #stop: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #startedAt = 0;
  /** When the wrapped client began to connect for the present link: until then it waited by itself. */
  #connectingAt = 0;
  #attempt = 0;
  #renewals = 0;
  /** A result has come from the present link. */
  #isHeard = false;
  #isLiveTold = false;
  #isPaused = false;
  #isOver = false;
  #status: SubscriptionState['status'] | undefined;

  constructor(shared: Shared, order: Order) {
    this.#shared = shared;
    this.#order = order;
    this.#plan = order.plan;
    this.#variables = { ...order.payload.variables };
    this.#payload = { ...order.payload, variables: this.#variables };
    const cursor = this.#cursorPlan;
    if (cursor !== undefined && this.#variables[cursor.variable] === '')
      delete this.#variables[cursor.variable];
    shared.connection.add(this);
  }

  get #cursorPlan(): CursorPlan | undefined {
    return 'cursor' in this.#plan ? this.#plan.cursor : undefined;
  }

  get #cursor(): string | undefined {
    const plan = this.#cursorPlan;
    const cursor = plan && this.#variables[plan.variable];
    return typeof cursor === 'string' ? cursor : undefined;
  }

  start(): void {
    this.#startedAt = performance.now();
    this.#isHeard = false;
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
    if (verdict.type === 'expired') return this.#cursorPlan === undefined ? { type: 'fatal' } : verdict;
    const choice = this.#shared.options.shouldRetry?.(problem);
    if (choice === false) return { type: 'fatal' };
    return choice === true && verdict.type === 'fatal' ? { type: 'retry', afterMs: 0 } : verdict;
  }

  get #isPlain(): boolean {
    return this.#plan.type === 'plain' || (this.#plan.type === 'unknown' && !this.#plan.isRetried);
  }

  #listeners(isPresent: () => boolean): SubscribeListeners {
    const { listeners } = this.#order;
    return {
      ...listeners,
      connecting: (isRetry) => {
        if (isPresent()) this.#connectingAt = performance.now();
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
      const isEnd = this.#plan.type === 'durable' && (!this.#isHeard || errors.some(isOfStream));
      if (!this.#isPlain && (isEnd || judge(errors).type !== 'fatal')) return this.handle(errors);
    }
    this.#isHeard = true;
    const value = isObject(data) ? Object.values(data)[0] : undefined;
    const plan = this.#cursorPlan;
    if (plan === undefined || !isObject(value)) return this.#deliverUncounted(result);
    const cursor = textAt(value, plan.cursorKeys);
    if (cursor !== undefined) return this.#deliverAfter(cursor, value, result, plan);
    if (this.#plan.type !== 'unknown') return this.#fail(new Error(noCursor('A subscription')));
    this.#plan = { type: 'plain' };
    this.#deliverUncounted(result);
  }

  /** What has no place in a log: it is lost when nobody has room for it. */
  #deliverUncounted(result: Result): void {
    this.#attempt = 0;
    const { reader } = this.#order;
    if (reader.hasRoom?.(result) === false) return this.#fail(new Error(TOO_SLOW));
    this.#deliver(result);
  }

  #deliverAfter(
    cursor: string,
    value: Readonly<Record<string, unknown>>,
    result: Result,
    plan: CursorPlan,
  ): void {
    if (this.#plan.type === 'unknown') this.#plan = { type: 'durable', cursor: plan };
    const isLive = textAt(value, plan.typenameKeys) === 'StreamLive';
    const isRepeated = isLive ? this.#isLiveTold : cursor === this.#cursor;
    if (!isRepeated) {
      if (this.#order.reader.hasRoom?.(result) === false) return this.#pause();
      this.#isLiveTold ||= isLive;
      // Before it is delivered: an app may do anything then, also what makes the wrapped client connect again.
      this.#variables[plan.variable] = cursor;
      this.#deliver(result);
    }
    if (this.#isOver || !(isLive || plan.typenameKeys.length === 0)) return;
    this.#variables[plan.variable] = cursor;
    this.#attempt = 0;
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
    if (performance.now() - this.#startedAt > LONG_LIFE_MS) this.#attempt = 0;
    // What the wrapped client waits by itself, it will wait again.
    const connectingAt = Math.max(this.#connectingAt, this.#shared.connection.connectingAt);
    const waitedMs = this.#isHeard ? 0 : Math.max(0, connectingAt - this.#startedAt);
    this.#release();
    this.#setStatus('behind');
    if (this.#isOver) return;
    const delayMs = Math.max(afterMs, this.#shared.retryDelay(this.#attempt) - waitedMs);
    this.#attempt += 1;
    this.#timer = setTimeout(() => this.start(), delayMs);
  }

  async #renew({ code, oldest }: Omit<ExpiredCursor, 'payload'>, problem: unknown): Promise<void> {
    const { payload } = this.#order;
    const plan = this.#cursorPlan;
    this.#release();
    this.#setStatus('behind');
    try {
      const cursor = await this.#shared.options.onExpired?.({
        payload,
        code,
        ...(oldest !== undefined && { oldest }),
      });
      if (this.#isOver) return;
      if (plan === undefined || typeof cursor !== 'string' || cursor === '') return this.#fail(problem);
      this.#variables[plan.variable] = cursor;
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
      this.#shared.options.onState?.({ payload: this.#order.payload, status, cursor: this.#cursor ?? null });
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
      if (!this.#isHeard) return this.#retry(0);
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

function textAt(value: Readonly<Record<string, unknown>>, keys: readonly string[]): string | undefined {
  return keys.map((key) => value[key]).find((text) => typeof text === 'string');
}
