import type { Result } from './inner.ts';
import type { Reader } from './subscription.ts';

/** A subscription that an iterator reads, and pauses when its buffer is full. */
export interface Source {
  resume(): void;
  unsubscribe(): void;
}

interface PendingRead {
  resolve(step: IteratorResult<Result, undefined>): void;
  reject(problem: unknown): void;
}

/**
 * Creates an iterator over a subscription; undefined if `open` returns none. Buffers at most `maxBytes`, or one result;
 * beyond that the source pauses until the buffer is empty.
 */
export function iterateResults(
  maxBytes: number,
  open: (reader: Reader) => Source | undefined,
): AsyncIterableIterator<Result> | undefined {
  const buffer: { readonly result: Result; readonly bytes: number }[] = [];
  const pending: PendingRead[] = [];
  let bufferedBytes = 0;
  let end: { readonly problem?: unknown } | undefined;

  const finish = (ended: { readonly problem?: unknown }): void => {
    end ??= ended;
    for (const { resolve, reject } of pending.splice(0)) {
      // Only the first pending read rejects: afterwards the iterator is done.
      if (end !== undefined && 'problem' in end) {
        reject(end.problem);
        end = {};
      } else resolve({ done: true, value: undefined });
    }
  };
  const source = open({
    hasRoom: (result) =>
      pending.length > 0 || buffer.length === 0 || bufferedBytes + sizeOf(result) <= maxBytes,
    next(result) {
      const first = pending.shift();
      if (first !== undefined) return first.resolve({ done: false, value: result });
      const bytes = sizeOf(result);
      buffer.push({ result, bytes });
      bufferedBytes += bytes;
    },
    error: (problem) => finish({ problem }),
    complete: () => finish({}),
  });
  if (source === undefined) return undefined;
  const stop = (): void => {
    buffer.length = 0;
    finish({});
    end = {};
    source.unsubscribe();
  };

  return {
    async next() {
      const first = buffer.shift();
      if (first !== undefined) {
        bufferedBytes -= first.bytes;
        return { done: false, value: first.result };
      }
      if (end !== undefined) {
        const ended = end;
        end = {};
        if ('problem' in ended) throw ended.problem;
        return { done: true, value: undefined };
      }
      return new Promise((resolve, reject) => {
        pending.push({ resolve, reject });
        source.resume();
      });
    },
    async return() {
      stop();
      return { done: true, value: undefined };
    },
    async throw(problem) {
      stop();
      throw problem;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** Estimates the size in memory, in bytes: two per character of JSON. */
const sizeOf = (result: Result): number => 2 * JSON.stringify(result).length;
