import type { ExecutionResult, GraphQLError } from 'graphql';
import { streamEnded } from '../../errors.ts';
import type { EndReason } from '../../errors.ts';
import { Semaphore } from '../../lib/semaphore.ts';
import type { FormatError } from './format-error.ts';
import { nameOperation } from './operation-fields.ts';
import type { NamedOperation } from './operation-fields.ts';

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

export interface ResultsOptions {
  readonly operation: NamedOperation;
  readonly source: AsyncIterable<unknown>;
  readonly execute: (event: unknown) => Promise<ExecutionResult>;
  /** Held by each result from its execution until the next result is requested, so until the client has taken it. */
  readonly semaphore: Semaphore | undefined;
  /** Resolves when the subscription has left its group and reads events on its own; undefined if it never shares. */
  readonly joinGroup: (() => Promise<void>) | undefined;
  readonly formatError: FormatError;
  /** Called once: with the formatted error if the server ended the subscription, else without. */
  readonly onEnd: (error: GraphQLError | undefined) => void;
}

/**
 * Opens a stream that executes one event at a time, in order. Not an async generator: `return()` of a generator waits for
 * a pending `next()`, and must reach the source immediately.
 */
export const openResults = (options: ResultsOptions): ResultStream => new Results(options);

/** A class: every idle subscription holds one, and closures would take most of its memory. */
class Results implements ResultStream {
  readonly #options: ResultsOptions;
  readonly #permit: ResultPermit;
  readonly #events: AsyncIterator<unknown>;
  #isOver = false;
  /** The error that `end` has closed it with, until the client receives it. */
  #ending: GraphQLError | undefined;

  constructor(options: ResultsOptions) {
    this.#options = options;
    this.#permit = new ResultPermit(options.semaphore);
    this.#events = options.source[Symbol.asyncIterator]();
  }

  async next(): Promise<IteratorResult<ExecutionResult, undefined>> {
    const { execute, joinGroup, formatError } = this.#options;
    this.#permit.release();
    try {
      await joinGroup?.();
      const { done, value } = await this.#events.next();
      if (done === true) return this.#finish();
      const result = await this.#permit.run(() => execute(value));
      if (result === undefined || this.#ending !== undefined) return this.#finish();
      return { done: false, value: rememberCursor(result, value) };
    } catch (thrown) {
      await this.#close();
      const error = formatError(thrown);
      this.#end(error);
      throw error;
    }
  }

  async return(): Promise<IteratorResult<ExecutionResult, undefined>> {
    await this.#close();
    this.#end();
    return { done: true, value: undefined };
  }

  get status(): StreamStatus | undefined {
    if (this.#isOver) return undefined;
    const { source, operation } = this.#options;
    const { topic, behind } = source as { readonly topic?: unknown; readonly behind?: unknown };
    return {
      topic: typeof topic === 'string' ? topic : undefined,
      operation: nameOperation(operation),
      behind: typeof behind === 'number' ? behind : undefined,
    };
  }

  end(reason: EndReason): boolean {
    if (this.#isOver) return false;
    this.#ending = this.#options.formatError(streamEnded(reason));
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
    this.#options.onEnd(error);
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
