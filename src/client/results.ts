import type { Result } from './inner.ts';
import type { Reader } from './subscription.ts';

/** What an iterator reads. */
export interface Source {
  resume(): void;
  unsubscribe(): void;
}

interface Waiting {
  resolve(step: IteratorResult<Result, undefined>): void;
  reject(problem: unknown): void;
}

/**
 * Makes an iterator of a subscription. It buffers at most `maxBytes`, or one result; then the source stops, and goes on
 * once the buffer is empty. Undefined when `open` opens none.
 */
export function iterateResults(
  maxBytes: number,
  open: (reader: Reader) => Source | undefined,
): AsyncIterableIterator<Result> | undefined {
  const buffer: { readonly result: Result; readonly bytes: number }[] = [];
  const waiting: Waiting[] = [];
  let bufferedBytes = 0;
  let end: { readonly problem?: unknown } | undefined;

  const finish = (ended: { readonly problem?: unknown }): void => {
    end ??= ended;
    for (const { resolve, reject } of waiting.splice(0)) {
      // Only the first one is told of the problem: after it the iterator is done.
      if (end !== undefined && 'problem' in end) {
        reject(end.problem);
        end = {};
      } else resolve({ done: true, value: undefined });
    }
  };
  const source = open({
    hasRoom: (result) =>
      waiting.length > 0 || buffer.length === 0 || bufferedBytes + sizeOf(result) <= maxBytes,
    next(result) {
      const first = waiting.shift();
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
        waiting.push({ resolve, reject });
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

/** In bytes of JSON as JavaScript holds it. */
const sizeOf = (result: Result): number => 2 * JSON.stringify(result).length;
