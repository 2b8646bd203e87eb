import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionResult } from 'graphql';
import { isOutage, streamEnded } from '../../errors.ts';
import type { EndReason } from '../../errors.ts';
import { retry, retryDelay } from '../../lib/backoff.ts';
import { causeOf, codeOf } from './format-error.ts';
import type { FormatError } from './format-error.ts';
import type { ResultStream, StreamStatus } from './result-stream.ts';

type OpenResults = () => Promise<ResultStream | ExecutionResult>;

/**
 * Opens a subscription; during a database outage, returns a stream that opens once the database is available. Every
 * client library takes an error for the end of a subscription, so an outage must not surface as one.
 */
export async function openWhenAvailable(
  open: OpenResults,
  formatError: FormatError,
): Promise<ResultStream | ExecutionResult> {
  const opened = await open();
  return isUnavailableResult(opened) ? new DeferredResults(open, formatError) : opened;
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
    const execution = started ?? execute();
    started = undefined;
    const result = await execution;
    const outage = result.errors?.map(causeOf).find(isOutage);
    if (outage !== undefined) throw outage;
    return result;
  };
  return retry(attempt, { isRetryable: isOutage, isWanted });
}

const isUnavailableResult = (opened: ResultStream | ExecutionResult): boolean =>
  !(Symbol.asyncIterator in opened) &&
  opened.errors?.some((error) => codeOf(error) === 'UNAVAILABLE') === true;

class DeferredResults implements ResultStream {
  readonly #open: OpenResults;
  readonly #formatError: FormatError;
  readonly #closeController = new AbortController();
  #results: ResultStream | undefined;
  #isOver = false;
  #endReason: EndReason | undefined;

  constructor(open: OpenResults, formatError: FormatError) {
    this.#open = open;
    this.#formatError = formatError;
  }

  get status(): StreamStatus | undefined {
    if (this.#results !== undefined) return this.#results.status;
    return this.#isOver ? undefined : { topic: undefined, operation: undefined, behind: undefined };
  }

  end(reason: EndReason): boolean {
    if (this.#results !== undefined) return this.#results.end(reason);
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#endReason = reason;
    this.#closeController.abort();
    return true;
  }

  async next(): Promise<IteratorResult<ExecutionResult, undefined>> {
    this.#results ??= await this.#openWithRetries();
    const reason = this.#endReason;
    this.#endReason = undefined;
    if (reason !== undefined) throw this.#formatError(streamEnded(reason));
    return this.#results?.next() ?? { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<ExecutionResult, undefined>> {
    this.#isOver = true;
    this.#closeController.abort();
    await this.#results?.return();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Returns undefined if closed before the subscription is open. Throws the error if the subscription is rejected. */
  async #openWithRetries(): Promise<ResultStream | undefined> {
    const { signal } = this.#closeController;
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
      if (!isUnavailableResult(opened))
        throw opened.errors?.[0] ?? new Error('The subscription has no results.');
    }
  }
}
