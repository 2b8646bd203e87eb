import { END_REASONS } from '../errors.ts';
import type { EndReason } from '../errors.ts';

/** A reader's iterator. `return()` frees what it holds, also when nobody ever read. */
export type ReaderIterator<Item> = AsyncIterableIterator<Item, undefined> & {
  return(): Promise<IteratorResult<Item, undefined>>;
};

/**
 * Makes an iterator of a function that waits for the next item: undefined ends it. Calls of `next()` that overlap
 * are answered one after the other. It is closed when it ends, throws, or is returned.
 */
export function createIterator<Item>(
  pull: () => Promise<Item | undefined>,
  close: () => void,
): ReaderIterator<Item> {
  let turn: Promise<unknown> = Promise.resolve();
  const step = async (): Promise<IteratorResult<Item, undefined>> => {
    try {
      const value = await pull();
      if (value !== undefined) return { done: false, value };
    } catch (error) {
      close();
      throw error;
    }
    close();
    return { done: true, value: undefined };
  };
  const iterator: ReaderIterator<Item> = {
    next() {
      const result = turn.then(step);
      turn = result.catch(() => undefined);
      return result;
    },
    async return() {
      close();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return iterator;
    },
  };
  return iterator;
}

/** Why the server ended it; undefined when nobody did so, or when the client left by itself. */
export function endReasonOf(signal: AbortSignal | undefined): EndReason | undefined {
  return END_REASONS.find((reason) => signal?.aborted === true && reason === signal.reason);
}
