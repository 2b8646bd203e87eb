import { createClient as createStreamClient } from 'graphql-sse';
import { createClient as createSocketClient } from 'graphql-ws';
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

/** Settings of the wrapped client, to shorten its default delays. */
export interface Settings {
  readonly retryAttempts?: number;
}

export const CONVERSATION = `subscription Follow($id: ID!, $after: Cursor) {
  conversationEvents(conversationId: $id, after: $after) {
    __typename
    cursor
    ... on MessageSent { message { text } }
  }
}`;

/** Creates a wrapped client with the default settings of its library unless given. */
export function openClient(
  transport: Transport,
  url: string,
  token: string,
  options: ResumableOptions = {},
  settings: Settings = {},
): Client {
  if (transport === 'graphql-sse') {
    const headers = { authorization: `Bearer ${token}` };
    return resumable(createStreamClient({ url: `${url}/graphql`, headers, ...settings }), options);
  }
  const address = `${url.replace(/^http/, 'ws')}/graphql`;
  const connectionParams = { authorization: `Bearer ${token}` };
  return resumable(createSocketClient({ url: address, connectionParams, ...settings }), options);
}

const textOf = ({ text, message }: Event): string | undefined => text ?? message?.text;

/** The results and the end of one subscription. */
export interface Followed {
  readonly events: Event[];
  readonly end: { readonly problem?: unknown } | undefined;
  texts(): string[];
  /** Resolves once the condition holds, checked after each event. Rejects after the timeout. */
  until(holds: () => boolean, timeoutMs?: number): Promise<void>;
  unsubscribe(): void;
}

/** Subscribes with a sink and records what it receives. */
export function follow(client: Client, payload: Payload): Followed {
  const events: Event[] = [];
  const watchers = new Set<() => void>();
  let end: { readonly problem?: unknown } | undefined;
  const changed = (): void => {
    for (const watcher of watchers) watcher();
  };
  const unsubscribe = client.subscribe(payload, {
    next({ data, errors }) {
      if (errors !== undefined) throw new Error(JSON.stringify(errors));
      for (const value of Object.values(data ?? {})) events.push(value as Event);
      changed();
    },
    error(problem) {
      end = { problem };
      changed();
    },
    complete() {
      end = {};
      changed();
    },
  });
  return {
    events,
    get end() {
      return end;
    },
    texts: () => events.flatMap((event) => textOf(event) ?? []),
    until: (holds, timeoutMs = 10_000) =>
      new Promise((resolve, reject) => {
        const watcher = (): void => {
          if (!holds()) return;
          clearTimeout(timer);
          watchers.delete(watcher);
          resolve();
        };
        const timer = setTimeout(() => {
          watchers.delete(watcher);
          reject(
            new Error(
              `Condition not met within ${timeoutMs} ms: ${JSON.stringify({ events: events.slice(-5), end })}`,
            ),
          );
        }, timeoutMs);
        watchers.add(watcher);
        watcher();
      }),
    unsubscribe,
  };
}

/** Returns the code of the first error with which a subscription ended. */
export function codeOf(problem: unknown): unknown {
  const [error] = Array.isArray(problem) ? (problem as { extensions?: { code?: unknown } }[]) : [];
  return error?.extensions?.code;
}
