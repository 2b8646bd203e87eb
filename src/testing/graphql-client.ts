import { createClient } from 'graphql-ws';
import type { Client, ExecutionResult } from 'graphql-ws';
import { WebSocket } from 'ws';
import { createReceiveQueue } from './receive-queue.ts';

/** An object in a response or in variables. */
export type Data = Record<string, unknown>;

export interface GraphqlError {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: Readonly<Record<string, unknown>>;
}

export interface GraphqlResponse<Result = Data> {
  readonly status: number;
  readonly data?: Result | null;
  readonly errors?: readonly GraphqlError[];
}

/** A subscription that queues the values of its root field until a test reads them. */
export interface TestSubscription<Item = Data> extends AsyncDisposable {
  /** Takes the next value, or the first that matches. Rejects after the timeout (5 s), and if the subscription ended. */
  next(matches?: (item: Item) => boolean, timeoutMs?: number): Promise<Item>;
  /** Takes the next value with this `__typename`. */
  nextOf(typename: string): Promise<Item>;
  /** Resolves with the errors that ended the subscription; for a normal end one with the message `complete`. */
  waitForEnd(): Promise<readonly GraphqlError[]>;
  /** Returns the queued values without taking them. */
  pending(): readonly Item[];
  unsubscribe(): void;
}

/** A GraphQL client with the token of an account, or without one. */
export interface GraphqlClient extends AsyncDisposable {
  /** Sends an operation over HTTP and returns the response. */
  send<Result = Data>(query: string, variables?: Data): Promise<GraphqlResponse<Result>>;
  /** Sends an operation and returns its data. Throws if it has errors. */
  run<Result = Data>(query: string, variables?: Data): Promise<Result>;
  /** Sends an operation that must fail, and returns the code of its first error. Throws if it succeeds. */
  expectError(query: string, variables?: Data): Promise<string>;
  /** Subscribes over WebSocket. A durable stream queues its `StreamLive`, too. */
  subscribe<Item = Data>(query: string, variables?: Data): TestSubscription<Item>;
}

export function createGraphqlClient(url: string, token?: string): GraphqlClient {
  let socket: Client | undefined;
  const send = async <Result>(query: string, variables?: Data): Promise<GraphqlResponse<Result>> => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/graphql-response+json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ query, variables }),
    });
    return {
      status: response.status,
      ...((await response.json()) as Omit<GraphqlResponse<Result>, 'status'>),
    };
  };

  return {
    send,
    async run<Result>(query: string, variables?: Data) {
      const { data, errors } = await send<Result>(query, variables);
      if (errors !== undefined || data === undefined || data === null)
        throw new Error(JSON.stringify(errors));
      return data;
    },
    async expectError(query, variables) {
      const { data, errors } = await send(query, variables);
      const code = errors?.[0]?.extensions?.['code'];
      if (typeof code !== 'string')
        throw new Error(`The operation did not fail: ${JSON.stringify({ data, errors })}`);
      return code;
    },
    subscribe<Item>(query: string, variables?: Data) {
      socket ??= createClient({
        url: `${url.replace(/^http/, 'ws')}/graphql`,
        webSocketImpl: WebSocket,
        retryAttempts: 0,
        ...(token === undefined ? {} : { connectionParams: { authorization: `Bearer ${token}` } }),
      });
      return subscribe<Item>(socket, query, variables);
    },
    async [Symbol.asyncDispose]() {
      await socket?.dispose();
    },
  };
}

function subscribe<Item>(client: Client, query: string, variables: Data | undefined): TestSubscription<Item> {
  const values = createReceiveQueue<Item>('subscription');
  const ends = createReceiveQueue<readonly GraphqlError[]>('end of subscription');
  const fail = (errors: readonly GraphqlError[]) => {
    ends.push(errors);
    values.fail(new Error(`The subscription ended: ${JSON.stringify(errors)}`));
  };
  const unsubscribe = client.subscribe<Record<string, Item>>(
    { query, ...(variables === undefined ? {} : { variables }) },
    {
      next({ data, errors }: ExecutionResult<Record<string, Item>>) {
        if (errors !== undefined) fail(errors);
        for (const value of Object.values(data ?? {})) values.push(value);
      },
      error: (error: unknown) => fail(Array.isArray(error) ? error : [{ message: describeError(error) }]),
      complete: () => fail([{ message: 'complete' }]),
    },
  );
  return {
    next: values.next,
    nextOf: (typename) =>
      values.next(
        (value) =>
          typeof value === 'object' &&
          value !== null &&
          '__typename' in value &&
          value.__typename === typename,
      ),
    waitForEnd: () => ends.next(),
    pending: values.pending,
    unsubscribe,
    async [Symbol.asyncDispose]() {
      unsubscribe();
    },
  };
}

/** Describes an error, or the close event of a WebSocket. */
function describeError(error: unknown): string {
  if (error instanceof Error) return error.message;
  if (typeof error === 'object' && error !== null && 'code' in error && 'reason' in error)
    return `closed ${String(error.code)} ${String(error.reason)}`;
  return String(error);
}
