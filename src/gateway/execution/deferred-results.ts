import type { ExecutionResult } from 'graphql';
import { retryDelay } from '../../lib/backoff.ts';
import { codeOf } from './format-error.ts';
import type { ResultStream } from './result-stream.ts';

/** Opens a subscription; a result with formatted errors when it could not be opened. */
export type OpenResults = () => Promise<ResultStream | ExecutionResult>;

/**
 * Opens a subscription, or returns one that opens by itself once the database is available again: to every client
 * library an error is the end of a subscription, so an outage must not be one.
 */
export async function openWhenAvailable(open: OpenResults): Promise<ResultStream | ExecutionResult> {
  const opened = await open();
  return isUnavailable(opened) ? new DeferredResults(open) : opened;
}

const isUnavailable = (opened: ResultStream | ExecutionResult): boolean =>
  !(Symbol.asyncIterator in opened) &&
  opened.errors?.some((error) => codeOf(error) === 'UNAVAILABLE') === true;

class DeferredResults implements ResultStream {
  readonly #open: OpenResults;
  readonly #closed = Promise.withResolvers<void>();
  #isClosed = false;
  #results: ResultStream | undefined;

  constructor(open: OpenResults) {
    this.#open = open;
  }

  async next(): Promise<IteratorResult<ExecutionResult, undefined>> {
    this.#results ??= await this.#retry();
    return this.#results?.next() ?? { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<ExecutionResult, undefined>> {
    this.#isClosed = true;
    this.#closed.resolve();
    await this.#results?.return();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Undefined when it was closed meanwhile. Throws the error with which the subscription was refused. */
  async #retry(): Promise<ResultStream | undefined> {
    for (let retry = 0; ; retry += 1) {
      await this.#pause(retryDelay(retry));
      if (this.#isClosed) return undefined;
      const opened = await this.#open();
      if (Symbol.asyncIterator in opened) {
        if (!this.#isClosed) return opened;
        await opened.return();
        return undefined;
      }
      if (!isUnavailable(opened)) throw opened.errors?.[0] ?? new Error('The subscription has no results.');
    }
  }

  async #pause(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const elapsed = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms).unref()));
    await Promise.race([elapsed, this.#closed.promise]);
    clearTimeout(timer);
  }
}
