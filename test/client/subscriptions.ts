import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { resumable } from 'parley/client';
import type { ResumableOptions } from 'parley/client';

export interface Event {
  readonly __typename: string;
  readonly cursor: string;
  readonly text?: string;
  readonly message?: { readonly text: string };
}

export interface Payload {
  readonly query: string;
  readonly operationName?: string;
  readonly variables?: Record<string, unknown>;
}

export interface Result {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly { readonly extensions?: unknown }[];
}

interface Sink {
  next(result: Result): void;
  error(problem: unknown): void;
  complete(): void;
}

/** The methods common to both libraries. */
export interface Client {
  subscribe(payload: Payload, sink: Sink): () => void;
  iterate(payload: Payload): AsyncIterableIterator<Result>;
  dispose(): void | Promise<void>;
}

export type Transport = 'graphql-ws' | 'graphql-sse';
export const TRANSPORTS: readonly Transport[] = ['graphql-ws', 'graphql-sse'];

/** Options of the wrapped client, to shorten its default delays. */
export interface ClientOptions {
  readonly retryAttempts?: number;
}

export const CONVERSATION_EVENTS = `subscription ConversationEvents($id: ID!, $after: Cursor) {
  conversationEvents(conversationId: $id, after: $after) {
    __typename
    cursor
    ... on MessageSent { message { text } }
  }
}`;

/** Opens a client wrapped by `resumable`. Options that are not given have the defaults of the library. */
export function openClient(
  transport: Transport,
  url: string,
  token: string,
  options: ResumableOptions = {},
  clientOptions: ClientOptions = {},
): Client {
  if (transport === 'graphql-sse') {
    const headers = { authorization: `Bearer ${token}` };
    return resumable(createSseClient({ url: `${url}/graphql`, headers, ...clientOptions }), options);
  }
  const webSocketUrl = `${url.replace(/^http/, 'ws')}/graphql`;
  const connectionParams = { authorization: `Bearer ${token}` };
  return resumable(createWsClient({ url: webSocketUrl, connectionParams, ...clientOptions }), options);
}

const textOf = ({ text, message }: Event): string | undefined => text ?? message?.text;

/** A subscription that records its events and its end. */
export interface RecordedSubscription {
  readonly events: Event[];
  readonly end: { readonly problem?: unknown } | undefined;
  texts(): string[];
  /** Resolves once the condition holds, checked after each event. Rejects after the timeout. */
  waitUntil(condition: () => boolean, timeoutMs?: number): Promise<void>;
  unsubscribe(): void;
}

/** Subscribes, and records the events and the end. */
export function subscribe(client: Client, payload: Payload): RecordedSubscription {
  const events: Event[] = [];
  const waiters = new Set<() => void>();
  let end: { readonly problem?: unknown } | undefined;
  const notify = (): void => {
    for (const check of waiters) check();
  };
  const unsubscribe = client.subscribe(payload, {
    next({ data, errors }) {
      if (errors !== undefined) throw new Error(JSON.stringify(errors));
      for (const value of Object.values(data ?? {})) events.push(value as Event);
      notify();
    },
    error(problem) {
      end = { problem };
      notify();
    },
    complete() {
      end = {};
      notify();
    },
  });
  return {
    events,
    get end() {
      return end;
    },
    texts: () => events.flatMap((event) => textOf(event) ?? []),
    waitUntil: (condition, timeoutMs = 10_000) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (!condition()) return;
          clearTimeout(timer);
          waiters.delete(check);
          resolve();
        };
        const timer = setTimeout(() => {
          waiters.delete(check);
          reject(
            new Error(
              `Condition not met within ${timeoutMs} ms: ${JSON.stringify({ events: events.slice(-5), end })}`,
            ),
          );
        }, timeoutMs);
        waiters.add(check);
        check();
      }),
    unsubscribe,
  };
}

/** Returns the code of the first of the errors that ended a subscription. */
export function codeOf(problem: unknown): unknown {
  const [error] = Array.isArray(problem) ? (problem as { extensions?: { code?: unknown } }[]) : [];
  return error?.extensions?.code;
}
