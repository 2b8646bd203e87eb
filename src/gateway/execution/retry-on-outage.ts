import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionResult } from 'graphql';
import { isOutage } from '../../errors.ts';
import { retry, retryDelay } from '../../lib/backoff.ts';
import { causeOf, codeOf } from './format-error.ts';
import type { ResultStream } from './result-stream.ts';

type OpenResults = () => Promise<ResultStream | ExecutionResult>;

/**
 * Opens a subscription; during a database outage, returns a stream that opens once the database is available. Every
 * client library takes an error for the end of a subscription, so an outage must not surface as one.
 */
export async function openWhenAvailable(open: OpenResults): Promise<ResultStream | ExecutionResult> {
  const opened = await open();
  return isUnavailable(opened) ? new DeferredResults(open) : opened;
}

/**
 * Executes an event, and repeats the execution until no database outage is among its errors. The reader's cursor is
 * already past the event, so a result with errors in place of data would lose it.
 */
export function executeWhenAvailable(
  execute: () => ExecutionResult | Promise<ExecutionResult>,
  first: Promise<ExecutionResult>,
  isWanted: () => boolean,
): Promise<ExecutionResult> {
  let started: Promise<ExecutionResult> | undefined = first;
  const attempt = async (): Promise<ExecutionResult> => {
    const running = started ?? execute();
    started = undefined;
    const result = await running;
    const outage = result.errors?.map(causeOf).find(isOutage);
    if (outage !== undefined) throw outage;
    return result;
  };
  return retry(attempt, { isRetryable: isOutage, isWanted });
}

const isUnavailable = (opened: ResultStream | ExecutionResult): boolean =>
  !(Symbol.asyncIterator in opened) &&
  opened.errors?.some((error) => codeOf(error) === 'UNAVAILABLE') === true;

class DeferredResults implements ResultStream {
  readonly #open: OpenResults;
  readonly #closing = new AbortController();
  #results: ResultStream | undefined;

  constructor(open: OpenResults) {
    this.#open = open;
  }

  async next(): Promise<IteratorResult<ExecutionResult, undefined>> {
    this.#results ??= await this.#openWithRetries();
    return this.#results?.next() ?? { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<ExecutionResult, undefined>> {
    this.#closing.abort();
    await this.#results?.return();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Returns undefined if closed meanwhile. Throws the error that refuses the subscription. */
  async #openWithRetries(): Promise<ResultStream | undefined> {
    const { signal } = this.#closing;
    for (let attempt = 0; ; attempt += 1) {
      // Rejects only when it is closed.
      await pause(retryDelay(attempt), undefined, { ref: false, signal }).catch(() => undefined);
      if (signal.aborted) return undefined;
      const opened = await this.#open();
      if (Symbol.asyncIterator in opened) {
        // Closed while opening: `return()` had no results to close.
        if (!signal.aborted) return opened;
        await opened.return();
        return undefined;
      }
      if (!isUnavailable(opened)) throw opened.errors?.[0] ?? new Error('The subscription has no results.');
    }
  }
}
