import { createClient } from 'graphql-ws';
import type { Client, ExecutionResult } from 'graphql-ws';
import { WebSocket } from 'ws';
import { createInbox } from './inbox.ts';

/** A field's value, as far as a test cares to say. */
export type Data = Record<string, unknown>;

export interface GraphqlErrorBody {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: Readonly<Record<string, unknown>>;
}

export interface GraphqlAnswer<Result = Data> {
  readonly status: number;
  readonly data?: Result | null;
  readonly errors?: readonly GraphqlErrorBody[];
}

/** A live subscription. Its root field's values wait here until they are asked for. */
export interface TestSubscription<Item = Data> extends AsyncDisposable {
  /** The next value, or the first that fits. Rejects at the deadline, and with the server's errors when it ended. */
  next(fits?: (item: Item) => boolean, timeoutMs?: number): Promise<Item>;
  /** The next value of a type, as `__typename` says it. */
  nextOf(typename: string): Promise<Item>;
  /** Resolves with the errors with which the server ended it. */
  ended(): Promise<readonly GraphqlErrorBody[]>;
  /** What waits now. */
  waiting(): readonly Item[];
  unsubscribe(): void;
}

/** Speaks GraphQL as one account, or as nobody. */
export interface GraphqlClient extends AsyncDisposable {
  /** Sends an operation over HTTP and answers whatever came. */
  send<Result = Data>(query: string, variables?: Data): Promise<GraphqlAnswer<Result>>;
  /** The same, when it must succeed: answers the data, throws the errors. */
  run<Result = Data>(query: string, variables?: Data): Promise<Result>;
  /** The same, when it must be refused: answers the code of the first error. */
  refused(query: string, variables?: Data): Promise<string>;
  /** Subscribes over WebSocket, and resolves when the server has begun: with its `StreamLive` still to be read. */
  subscribe<Item = Data>(query: string, variables?: Data): TestSubscription<Item>;
}

export function createGraphqlClient(url: string, token?: string): GraphqlClient {
  let socket: Client | undefined;
  const send = async <Result>(query: string, variables?: Data): Promise<GraphqlAnswer<Result>> => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/graphql-response+json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ query, variables }),
    });
    return { status: response.status, ...((await response.json()) as Omit<GraphqlAnswer<Result>, 'status'>) };
  };

  return {
    send,
    async run<Result>(query: string, variables?: Data) {
      const { data, errors } = await send<Result>(query, variables);
      if (errors !== undefined || data === undefined || data === null)
        throw new Error(JSON.stringify(errors));
      return data;
    },
    async refused(query, variables) {
      const { data, errors } = await send(query, variables);
      const code = errors?.[0]?.extensions?.['code'];
      if (typeof code !== 'string') throw new Error(`Not refused: ${JSON.stringify({ data, errors })}`);
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
  const values = createInbox<Item>('subscription');
  const ends = createInbox<readonly GraphqlErrorBody[]>('end of subscription');
  const fail = (errors: readonly GraphqlErrorBody[]) => {
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
      error: (error: unknown) => fail(Array.isArray(error) ? error : [{ message: describe(error) }]),
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
    ended: () => ends.next(),
    waiting: values.waiting,
    unsubscribe,
    async [Symbol.asyncDispose]() {
      unsubscribe();
    },
  };
}

/** A closed socket comes as an event with a code. */
function describe(error: unknown): string {
  if (error instanceof Error) return error.message;
  if (typeof error === 'object' && error !== null && 'code' in error && 'reason' in error)
    return `closed ${String(error.code)} ${String(error.reason)}`;
  return String(error);
}
