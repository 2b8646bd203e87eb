import { END_REASONS } from '../errors.ts';
import type { EndReason } from '../errors.ts';

/**
 * An async iterator whose `return()` frees its resources, even before the first `next()` (an async generator's does
 * not).
 */
export type ReaderIterator<Item> = AsyncIterableIterator<Item, undefined> & {
  return(): Promise<IteratorResult<Item, undefined>>;
};

/**
 * An iterator over what `pull` returns; undefined ends it. Overlapping calls of `next()` run serially. Closes itself
 * when it ends, throws, or is returned.
 */
export abstract class PullIterator<Item> implements ReaderIterator<Item> {
  #lastStep: Promise<unknown> | undefined;

  protected abstract pull(): Promise<Item | undefined>;

  /** Frees the resources. Idempotent. */
  abstract close(): void;

  next(): Promise<IteratorResult<Item, undefined>> {
    const result = this.#lastStep === undefined ? this.#step() : this.#lastStep.then(() => this.#step());
    const step = result
      .catch(() => undefined)
      .then(() => {
        if (this.#lastStep === step) this.#lastStep = undefined;
      });
    this.#lastStep = step;
    return result;
  }

  async return(): Promise<IteratorResult<Item, undefined>> {
    this.close();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #step(): Promise<IteratorResult<Item, undefined>> {
    try {
      const value = await this.pull();
      if (value !== undefined) return { done: false, value };
    } catch (error) {
      this.close();
      throw error;
    }
    this.close();
    return { done: true, value: undefined };
  }
}

/** Creates an iterator from two functions. */
export const createPullIterator = <Item>(
  pull: () => Promise<Item | undefined>,
  close: () => void,
): ReaderIterator<Item> => new FunctionIterator(pull, close);

class FunctionIterator<Item> extends PullIterator<Item> {
  protected readonly pull: () => Promise<Item | undefined>;
  readonly close: () => void;

  constructor(pull: () => Promise<Item | undefined>, close: () => void) {
    super();
    this.pull = pull;
    this.close = close;
  }
}

/**
 * Returns the reason why the server aborted the signal; undefined if it is not aborted, or the client has disconnected.
 */
export function endReasonOf(signal: AbortSignal | undefined): EndReason | undefined {
  return END_REASONS.find((reason) => signal?.aborted === true && reason === signal.reason);
}
