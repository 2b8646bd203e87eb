import type { ExecutionResult } from 'graphql';
import { createSemaphore } from '../../lib/semaphore.ts';
import type { Semaphore } from '../../lib/semaphore.ts';
import type { FormatError } from './format-error.ts';

/** Results of a subscription. It ends by throwing a formatted error when the server ended it; `return()` frees it at any time. */
export type ResultStream = AsyncIterableIterator<ExecutionResult, undefined> & {
  return(): Promise<IteratorResult<ExecutionResult, undefined>>;
};

export interface ResultsOptions {
  readonly source: AsyncIterable<unknown>;
  readonly execute: (event: unknown) => Promise<ExecutionResult>;
  /** Taken by each result from its execution until the next one is asked for, because it has left. */
  readonly semaphore: Semaphore | undefined;
  /** Resolves when the results that follow are to come from here; undefined when all are. */
  readonly joinGroup: (() => Promise<void>) | undefined;
  /** Formats what the source threw. */
  readonly failed: FormatError;
}

/** One execution for each event, in order. Written out so that `return()` reaches the source even while it waits. */
export const openResults = (options: ResultsOptions): ResultStream => new Results(options);

/** A class, as each subscription holds one while it rests. */
class Results implements ResultStream {
  readonly #options: ResultsOptions;
  readonly #place: Slot;
  readonly #events: AsyncIterator<unknown>;

  constructor(options: ResultsOptions) {
    this.#options = options;
    this.#place = new Slot(options.semaphore);
    this.#events = options.source[Symbol.asyncIterator]();
  }

  async next(): Promise<IteratorResult<ExecutionResult, undefined>> {
    const { execute, joinGroup, failed } = this.#options;
    this.#place.leave();
    try {
      await joinGroup?.();
      const { done, value } = await this.#events.next();
      if (done === true) return { done, value: undefined };
      const result = await this.#place.run(() => execute(value));
      if (result === undefined) return { done: true, value: undefined };
      return { done: false, value: remember(result, value) };
    } catch (error) {
      await this.#free();
      throw failed(error);
    }
  }

  async return(): Promise<IteratorResult<ExecutionResult, undefined>> {
    await this.#free();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #free(): Promise<void> {
    this.#place.close();
    await this.#events.return?.();
  }
}

const cursors = new WeakMap<ExecutionResult, string>();

/** The place to resume after a result of a durable subscription, whether or not the client selected it. */
export const cursorOf = (result: ExecutionResult): string | undefined => cursors.get(result);

function remember(result: ExecutionResult, event: unknown): ExecutionResult {
  if (typeof event === 'object' && event !== null && 'cursor' in event && typeof event.cursor === 'string') {
    cursors.set(result, event.cursor);
  }
  return result;
}

/** The place of one subscription among all whose results are on their way to the same client. */
class Slot {
  readonly #turns: Semaphore;
  #leave: (() => void) | undefined;
  #stop: (() => void) | undefined;
  #closed = false;

  constructor(turns: Semaphore = createSemaphore(1)) {
    this.#turns = turns;
  }

  /** Undefined when the subscription was over before the work was done. */
  run(work: () => Promise<ExecutionResult>): Promise<ExecutionResult | undefined> {
    return new Promise((resolve, reject) => {
      const left = Promise.withResolvers<void>();
      this.#leave = left.resolve;
      this.#stop = () => resolve(undefined);
      if (this.#closed) return this.#stop();
      void this.#turns.run(async () => {
        if (this.#closed) return;
        work().then(resolve, reject);
        await left.promise;
      });
    });
  }

  /** Gives it to whoever waits. */
  leave(): void {
    this.#leave?.();
    this.#leave = undefined;
    this.#stop = undefined;
  }

  /** The subscription is over: what waits for its turn is not done any more. */
  close(): void {
    this.#closed = true;
    this.#stop?.();
    this.leave();
  }
}
