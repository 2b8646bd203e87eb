import type { ExecutionResult } from 'graphql';
import { createTurns } from '../turns.ts';
import type { Turns } from '../turns.ts';
import type { FormatError } from './errors.ts';

/** Results of a subscription. It ends by throwing a formatted error when the server ended it; `return()` frees it at any time. */
export type ResultStream = AsyncIterableIterator<ExecutionResult, undefined> & {
  return(): Promise<IteratorResult<ExecutionResult, undefined>>;
};

export interface ResultsOptions {
  readonly source: AsyncIterable<unknown>;
  readonly execute: (event: unknown) => Promise<ExecutionResult>;
  /** Taken by each result from its execution until the next one is asked for, because it has left. */
  readonly turns: Turns | undefined;
  /** Resolves when the results that follow are to come from here; undefined when all are. */
  readonly serveTogether: (() => Promise<void>) | undefined;
  /** Formats what the source threw. */
  readonly failed: FormatError;
}

/** One execution for each event, in order. Written out so that `return()` reaches the source even while it waits. */
export function openResults({ source, execute, turns, serveTogether, failed }: ResultsOptions): ResultStream {
  const place = createPlace(turns);
  const events = source[Symbol.asyncIterator]();
  const stream: ResultStream = {
    async next() {
      place.leave();
      try {
        await serveTogether?.();
        const { done, value } = await events.next();
        if (done === true) return { done, value: undefined };
        const result = await place.take(() => execute(value));
        if (result === undefined) return { done: true, value: undefined };
        return { done: false, value: remember(result, value) };
      } catch (error) {
        place.close();
        await events.return?.();
        throw failed(error);
      }
    },
    async return() {
      place.close();
      await events.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]: () => stream,
  };
  return stream;
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
interface Place {
  /** Undefined when the subscription was over before the work was done. */
  take(work: () => Promise<ExecutionResult>): Promise<ExecutionResult | undefined>;
  /** Gives it to whoever waits. */
  leave(): void;
  /** The subscription is over: what waits for its turn is not done any more. */
  close(): void;
}

function createPlace(turns: Turns = createTurns(1)): Place {
  let leave = (): void => undefined;
  let stop = (): void => undefined;
  let closed = false;
  return {
    take: (work) =>
      new Promise((resolve, reject) => {
        const left = Promise.withResolvers<void>();
        leave = left.resolve;
        stop = () => resolve(undefined);
        if (closed) return stop();
        void turns.take(async () => {
          if (closed) return;
          work().then(resolve, reject);
          await left.promise;
        });
      }),
    leave: () => leave(),
    close() {
      closed = true;
      leave();
      stop();
    },
  };
}
