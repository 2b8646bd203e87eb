import type { ExecutionResult, GraphQLError } from 'graphql';
import { Semaphore } from '../../lib/semaphore.ts';
import type { FormatError } from './format-error.ts';

/**
 * Results of a subscription. Throws a formatted error when the server ends the subscription; `return()` closes it at any
 * time, even while `next()` is pending.
 */
export type ResultStream = AsyncIterableIterator<ExecutionResult, undefined> & {
  return(): Promise<IteratorResult<ExecutionResult, undefined>>;
};

export interface ResultsOptions {
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
      if (done === true) {
        this.#end();
        return { done, value: undefined };
      }
      const result = await this.#permit.run(() => execute(value));
      if (result === undefined) return { done: true, value: undefined };
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

  [Symbol.asyncIterator](): this {
    return this;
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
