import type { OperationPayload } from './types.ts';

export interface Result {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly unknown[];
}

export interface Sink {
  next(result: Result): void;
  error(problem: unknown): void;
  complete(): void;
}

/** The third argument of `subscribe` in graphql-sse; graphql-ws takes none. */
export interface SubscribeListeners {
  connecting?(isRetry: boolean): void;
  message?(message: unknown): void;
  connected?(wasRetry: boolean): void;
}

/** The methods used of the wrapped client. Only graphql-ws has `on` and `terminate`. */
export interface InnerClient {
  subscribe(payload: OperationPayload, sink: Sink, listeners?: SubscribeListeners): () => void;
  iterate(payload: OperationPayload, listeners?: SubscribeListeners): AsyncIterableIterator<Result>;
  dispose(): void | Promise<void>;
  on?(event: string, listener: (...values: unknown[]) => void): () => void;
  terminate?(): void;
}
