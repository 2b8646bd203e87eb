import type { ExecutionResult, GraphQLError, ValidatedSubscriptionArgs } from 'graphql';
import { streamEnded } from '../../errors.ts';
import type { EndReason } from '../../errors.ts';
import { Semaphore } from '../../lib/semaphore.ts';
import { nameOperation } from './operation-fields.ts';
import type { Operation } from './operation.ts';

/**
 * Results of a subscription. Throws a formatted error when the server ends the subscription; `return()` closes it at any
 * time, even while `next()` is pending.
 */
export type ResultStream = AsyncIterableIterator<ExecutionResult, undefined> & {
  return(): Promise<IteratorResult<ExecutionResult, undefined>>;
  /** The state of the subscription, for operators; undefined once it is over. */
  readonly status: StreamStatus | undefined;
  /** Closes the subscription: the client receives an error with the reason. Returns false if it is over already. */
  end(reason: EndReason): boolean;
};

/** Undefined properties are not known: while the subscription opens, or as nothing is kept of what it delivers. */
export interface StreamStatus {
  readonly topic: string | undefined;
  readonly operation: string | undefined;
  /** Committed events that the subscription has not taken yet. */
  readonly behind: number | undefined;
}

/** The engine's part in subscriptions: one object for all of them, so that an idle one holds no closures. */
export interface SubscriptionExecution {
  /** Returns a function that executes the events of the source, in order. */
  createExecute(
    operation: Operation,
    source: AsyncIterable<unknown>,
    args: ValidatedSubscriptionArgs,
  ): ExecuteEvent;
  /** Joins the group of the operation, as `SharedExecution` does. */
  join(
    operation: Operation,
    source: AsyncIterable<unknown>,
    args: ValidatedSubscriptionArgs,
  ): Promise<void> | undefined;
  /** Validates the arguments of an operation again. */
  argsOf(operation: Operation): ValidatedSubscriptionArgs;
  formatError(error: unknown, operation: Operation): GraphQLError;
  /** Called once: with the formatted error if the server ended the subscription, else without. */
  onEnd(operation: Operation, source: AsyncIterable<unknown>, error: GraphQLError | undefined): void;
}

type ExecuteEvent = (event: unknown) => Promise<ExecutionResult>;

/** A subscription whose source is open. */
export interface OpenSubscription {
  readonly operation: Operation;
  readonly source: AsyncIterable<unknown>;
  readonly args: ValidatedSubscriptionArgs;
}

/**
 * Opens a stream that executes one event at a time, in order. Not an async generator: `return()` of a generator waits for
 * a pending `next()`, and must reach the source immediately.
 */
export const openResults = (execution: SubscriptionExecution, subscription: OpenSubscription): ResultStream =>
  new Results(execution, subscription);

/** A class: every idle subscription holds one, and closures would take most of its memory. */
class Results implements ResultStream {
  readonly #execution: SubscriptionExecution;
  readonly #operation: Operation;
  readonly #source: AsyncIterable<unknown>;
  readonly #events: AsyncIterator<unknown>;
  readonly #permit: ResultPermit;
  /** Undefined while it is in a group, which holds arguments for all of its members. */
  #args: ValidatedSubscriptionArgs | undefined;
  /** Undefined while it is in a group. */
  #execute: ExecuteEvent | undefined;
  #isOver = false;
  /** The error that `end` has closed it with, until the client receives it. */
  #ending: GraphQLError | undefined;

  constructor(execution: SubscriptionExecution, { operation, source, args }: OpenSubscription) {
    this.#execution = execution;
    this.#operation = operation;
    this.#source = source;
    this.#events = source[Symbol.asyncIterator]();
    // Held by each result from its execution until the next result is requested, so until the client has taken it.
    this.#permit = new ResultPermit(operation.semaphore);
    this.#args = args;
  }

  next(): Promise<IteratorResult<ExecutionResult, undefined>> {
    this.#permit.release();
    const args = (this.#args ??= this.#execution.argsOf(this.#operation));
    const left = this.#execution.join(this.#operation, this.#source, args);
    if (left === undefined) return this.#next();
    this.#args = undefined;
    this.#execute = undefined;
    return left.then(
      () => this.#next(),
      (error: unknown) => this.#fail(error),
    );
  }

  async #next(): Promise<IteratorResult<ExecutionResult, undefined>> {
    try {
      const { done, value } = await this.#events.next();
      if (done === true) return this.#finish();
      const args = (this.#args ??= this.#execution.argsOf(this.#operation));
      const execute = (this.#execute ??= this.#execution.createExecute(this.#operation, this.#source, args));
      const result = await this.#permit.run(() => execute(value));
      if (result === undefined || this.#ending !== undefined) return this.#finish();
      return { done: false, value: rememberCursor(result, value) };
    } catch (error) {
      return this.#fail(error);
    }
  }

  async #fail(thrown: unknown): Promise<never> {
    await this.#close();
    const error = this.#execution.formatError(thrown, this.#operation);
    this.#end(error);
    throw error;
  }

  async return(): Promise<IteratorResult<ExecutionResult, undefined>> {
    await this.#close();
    this.#end();
    return { done: true, value: undefined };
  }

  get status(): StreamStatus | undefined {
    if (this.#isOver) return undefined;
    const { topic, behind } = this.#source as { readonly topic?: unknown; readonly behind?: unknown };
    return {
      topic: typeof topic === 'string' ? topic : undefined,
      operation: nameOperation(this.#operation),
      behind: typeof behind === 'number' ? behind : undefined,
    };
  }

  end(reason: EndReason): boolean {
    if (this.#isOver) return false;
    this.#ending = this.#execution.formatError(streamEnded(reason), this.#operation);
    this.#end(this.#ending);
    void this.#close();
    return true;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends the iteration: if `end` has closed it, first with its error. */
  #finish(): { done: true; value: undefined } {
    const error = this.#ending;
    this.#ending = undefined;
    if (error !== undefined) throw error;
    this.#end();
    return { done: true, value: undefined };
  }

  async #close(): Promise<void> {
    this.#permit.close();
    await this.#events.return?.();
  }

  #end(error?: GraphQLError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#execution.onEnd(this.#operation, this.#source, error);
  }
}

const cursors = new WeakMap<ExecutionResult, string>();

/** Returns the cursor after a result of a durable subscription, even if the client did not select it. */
export const cursorOf = (result: ExecutionResult): string | undefined => cursors.get(result);

function rememberCursor(result: ExecutionResult, event: unknown): ExecutionResult {
  if (typeof event === 'object' && event !== null && 'cursor' in event && typeof event.cursor === 'string') {
    cursors.set(result, event.cursor);
  }
  return result;
}

/** One subscription's permit of the semaphore that bounds the results in flight to its client. */
class ResultPermit {
  readonly #semaphore: Semaphore;
  #release: (() => void) | undefined;
  #cancel: (() => void) | undefined;
  #isClosed = false;

  constructor(semaphore: Semaphore = new Semaphore(1)) {
    this.#semaphore = semaphore;
  }

  /** Runs work once a permit is free, and holds the permit until `release()`. Resolves to undefined if closed first. */
  run(work: () => Promise<ExecutionResult>): Promise<ExecutionResult | undefined> {
    return new Promise((resolve, reject) => {
      const released = Promise.withResolvers<void>();
      this.#release = released.resolve;
      this.#cancel = () => resolve(undefined);
      if (this.#isClosed) return this.#cancel();
      void this.#semaphore.run(async () => {
        if (this.#isClosed) return;
        work().then(resolve, reject);
        await released.promise;
      });
    });
  }

  release(): void {
    this.#release?.();
    this.#release = undefined;
    this.#cancel = undefined;
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
    this.release();
  }
}
