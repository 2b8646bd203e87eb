import { Backoff } from './backoff.ts';
import type { ConnectionMonitor, Follower } from './connection-monitor.ts';
import type { InnerClient, Result, Sink, SubscribeListeners } from './inner.ts';
import { noCursorMessage } from './plan.ts';
import type { Plan } from './plan.ts';
import { Position } from './position.ts';
import type { Step } from './position.ts';
import { classify, isObject } from './problem.ts';
import type { Verdict } from './problem.ts';
import type { ExpiredCursor, OperationPayload, ResumableOptions, SubscriptionState } from './types.ts';

/** The consumer of results. If it has no room, the subscription pauses and later replays from the server's log. */
export interface Reader extends Sink {
  hasRoom?(result: Result): boolean;
}

export interface Shared {
  readonly client: InnerClient;
  readonly connection: ConnectionMonitor;
  readonly options: ResumableOptions;
  readonly retryDelay: (attempt: number) => number;
  /** Silence timeout per event stream; 0 over WebSocket, where the connection is watched instead. */
  readonly silenceMs: number;
}

export interface SubscriptionRequest {
  readonly payload: OperationPayload;
  readonly plan: Plan;
  readonly reader: Reader;
  readonly listeners: SubscribeListeners | undefined;
}

/**
 * One subscription of the app: a sequence of runs in the wrapped client, each of which starts after the newest cursor.
 * The wrapped client serialises the payload on each connect, so the cursor is kept in a private copy of the variables.
 * Results of a superseded run are dropped.
 */
export class Subscription implements Follower {
  readonly #shared: Shared;
  readonly #request: SubscriptionRequest;
  readonly #payload: OperationPayload;
  readonly #position: Position | undefined;
  readonly #backoff: Backoff;
  #plan: Plan;
  #run = 0;
  #stop: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #renewals = 0;
  #isPaused = false;
  #isOver = false;
  #status: SubscriptionState['status'] | undefined;

  constructor(shared: Shared, request: SubscriptionRequest) {
    const { payload, plan } = request;
    const variables = { ...payload.variables };
    this.#shared = shared;
    this.#request = request;
    this.#plan = plan;
    this.#payload = { ...payload, variables };
    this.#position = 'cursor' in plan ? new Position(variables, plan.cursor) : undefined;
    this.#backoff = new Backoff(shared.retryDelay);
    shared.connection.add(this);
  }

  start(): void {
    this.#backoff.onStart();
    const run = (this.#run += 1);
    const isCurrent = (): boolean => run === this.#run;
    try {
      const stop = this.#shared.client.subscribe(
        this.#payload,
        {
          next: (result) => void (isCurrent() && this.#receive(result)),
          error: (problem) => void (isCurrent() && this.onProblem(problem)),
          complete: () => void (isCurrent() && this.#finish(() => this.#request.reader.complete())),
        },
        this.#listeners(isCurrent),
      );
      if (!isCurrent()) return stop();
      this.#stop = stop;
      this.#watchSilence();
    } catch (problem) {
      this.#fail(problem);
    }
  }

  /** Restarts after a pause caused by a full reader. */
  resume(): void {
    if (!this.#isPaused || this.#isOver) return;
    this.#isPaused = false;
    this.start();
  }

  /** Ends the subscription and completes its reader asynchronously, as the wrapped clients do. */
  unsubscribe(): void {
    this.#finish(() => queueMicrotask(() => this.#request.reader.complete()));
  }

  onLost(isAbandoned: boolean): void {
    const isRunning = this.#stop !== undefined;
    this.#backoff.onLost();
    this.#setStatus('behind');
    if (isAbandoned && isRunning) this.#retry(0);
  }

  onProblem(problem: unknown): void {
    if (this.#isOver) return;
    const verdict = this.#classify(problem);
    switch (verdict.type) {
      case 'retry':
        return this.#retry(verdict.afterMs);
      case 'expired':
        return void this.#renew(verdict, problem);
      case 'fatal':
        return this.#fail(problem);
    }
  }

  #classify(problem: unknown): Verdict {
    if (this.#isPlain) return { type: 'fatal' };
    const verdict = classify(problem);
    if (verdict.type === 'expired') return this.#position === undefined ? { type: 'fatal' } : verdict;
    const choice = this.#shared.options.shouldRetry?.(problem);
    if (choice === false) return { type: 'fatal' };
    return choice === true && verdict.type === 'fatal' ? { type: 'retry', afterMs: 0 } : verdict;
  }

  get #isPlain(): boolean {
    return this.#plan.type === 'plain' || this.#plan.type === 'unknown';
  }

  #listeners(isCurrent: () => boolean): SubscribeListeners {
    const { listeners } = this.#request;
    return {
      ...listeners,
      connecting: (isRetry) => {
        if (isCurrent()) this.#backoff.onConnecting();
        if (isRetry && isCurrent()) this.#setStatus('behind');
        listeners?.connecting?.(isRetry);
      },
      connected: (wasRetry) => {
        if (isCurrent()) this.#watchSilence();
        listeners?.connected?.(wasRetry);
      },
    };
  }

  #receive(result: Result): void {
    this.#watchSilence();
    const { data, errors } = result;
    if ((data === undefined || data === null) && errors !== undefined && errors.length > 0) {
      const isEnd = this.#plan.type === 'durable' && (!this.#backoff.hasReceived || errors.some(isOfStream));
      if (!this.#isPlain && (isEnd || classify(errors).type !== 'fatal')) return this.onProblem(errors);
    }
    this.#backoff.onResult();
    const value = isObject(data) ? Object.values(data)[0] : undefined;
    if (this.#position === undefined || this.#plan.type === 'plain' || !isObject(value))
      return this.#deliverEphemeral(result);
    const step = this.#position.read(value);
    if (step !== undefined) return this.#deliverAt(this.#position, step, result);
    if (this.#plan.type !== 'unknown') return this.#fail(new Error(noCursorMessage('A subscription')));
    this.#plan = { type: 'plain' };
    this.#deliverEphemeral(result);
  }

  /** Delivers an ephemeral result, which cannot be replayed: fails if the reader has no room. */
  #deliverEphemeral(result: Result): void {
    this.#backoff.reset();
    const { reader } = this.#request;
    if (reader.hasRoom?.(result) === false) return this.#fail(new Error(TOO_SLOW));
    this.#deliver(result);
  }

  #deliverAt(position: Position, { cursor, isLive, isRepeated }: Step, result: Result): void {
    if (this.#plan.type === 'unknown') this.#plan = { type: 'durable', cursor: this.#plan.cursor };
    const run = this.#run;
    if (!isRepeated && this.#request.reader.hasRoom?.(result) === false) return this.#pause();
    // Before delivery, because the app's callback may make the wrapped client reconnect with these variables.
    position.moveTo(cursor, isLive);
    if (!isRepeated) this.#deliver(result);
    if (run !== this.#run || (position.hasTypenames && !isLive)) return;
    this.#backoff.reset();
    this.#renewals = 0;
    this.#setStatus('live');
  }

  #deliver(result: Result): void {
    try {
      this.#request.reader.next(result);
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
    const { payload } = this.#request;
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
        payload: this.#request.payload,
        status,
        cursor: this.#position?.cursor ?? null,
      });
    } catch (problem) {
      this.#fail(problem);
    }
  }

  /** Resumes an event stream that is silent for too long: a half-open connection raises no error. */
  #watchSilence(): void {
    clearTimeout(this.#silence);
    const { silenceMs } = this.#shared;
    if (!(silenceMs > 0) || this.#isPlain || this.#isOver) return;
    this.#silence = setTimeout(() => {
      if (!this.#backoff.hasReceived) return this.#retry(0);
      this.#release();
      this.start();
    }, silenceMs);
  }

  #fail(problem: unknown): void {
    this.#finish(() => this.#request.reader.error(problem));
  }

  #finish(notify: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#release();
    this.#shared.connection.delete(this);
    notify();
  }

  /** Ends the current run. The wrapped client counts a subscription as active until it is unsubscribed. */
  #release(): void {
    this.#run += 1;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    const stop = this.#stop;
    this.#stop = undefined;
    stop?.();
  }
}

const TOO_SLOW =
  'The reader of iterate() fell too far behind. The subscription is ephemeral and cannot be replayed, so it ends.';

/** Errors of a single event have the path of a field; errors of the stream have none. */
const isOfStream = (error: unknown): boolean => isObject(error) && !Array.isArray(error['path']);
