import { END_REASONS } from '../errors.ts';
import type { EndReason } from '../errors.ts';

/** A reader's iterator. `return()` frees what it holds, also when nobody ever read. */
export type ReaderIterator<Item> = AsyncIterableIterator<Item, undefined> & {
  return(): Promise<IteratorResult<Item, undefined>>;
};

/**
 * An iterator that waits for the next item by `pull`: undefined ends it. Calls of `next()` that overlap are answered one
 * after the other. It is closed when it ends, throws, or is returned.
 */
export abstract class PulledIterator<Item> implements ReaderIterator<Item> {
  #turn: Promise<unknown> | undefined;

  protected abstract pull(): Promise<Item | undefined>;

  /** Frees what it holds; a second call does nothing. */
  abstract close(): void;

  next(): Promise<IteratorResult<Item, undefined>> {
    const result = this.#turn === undefined ? this.#step() : this.#turn.then(() => this.#step());
    const turn = result
      .catch(() => undefined)
      .then(() => {
        if (this.#turn === turn) this.#turn = undefined;
      });
    this.#turn = turn;
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

/** The same of two functions. */
export const createIterator = <Item>(
  pull: () => Promise<Item | undefined>,
  close: () => void,
): ReaderIterator<Item> => new GivenIterator(pull, close);

class GivenIterator<Item> extends PulledIterator<Item> {
  protected readonly pull: () => Promise<Item | undefined>;
  readonly close: () => void;

  constructor(pull: () => Promise<Item | undefined>, close: () => void) {
    super();
    this.pull = pull;
    this.close = close;
  }
}

/** Why the server ended it; undefined when nobody did so, or when the client left by itself. */
export function endReasonOf(signal: AbortSignal | undefined): EndReason | undefined {
  return END_REASONS.find((reason) => signal?.aborted === true && reason === signal.reason);
}
