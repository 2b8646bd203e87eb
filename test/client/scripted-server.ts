import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buildSchema, GraphQLError, parse } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { createYoga } from 'graphql-yoga';
import type { Plugin } from 'graphql-yoga';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';

const TYPES = `
  scalar Cursor
  type Query { ok: Boolean }
  interface Event { cursor: Cursor! }
  type StreamLive implements Event { cursor: Cursor! }
  type TextAdded implements Event { cursor: Cursor! text: String! }
  type Subscription { events(note: String, after: Cursor): Event! typing: Event! }
`;

export const EVENTS = `subscription ($after: Cursor) {
  events(after: $after) { __typename cursor ... on TextAdded { text } }
}`;
export const TYPING = 'subscription { typing { __typename cursor ... on TextAdded { text } } }';

/** A failure of a subscription, at its start or once it is live. */
export type Fault =
  | { readonly at: 'start' | 'live'; readonly extensions: Readonly<Record<string, unknown>> }
  | { readonly at: 'start' | 'live'; readonly close: number; readonly reason: string };

/** A server that injects faults which the real server cannot be made to produce. Its cursors are numbers. */
export interface ScriptedServer extends AsyncDisposable {
  readonly url: string;
  /** The cursors after which streams started; null for none. */
  readonly startCursors: (string | null)[];
  /** The variables of persisted operations, in order of arrival. */
  readonly variables: unknown[];
  readonly openStreamCount: number;
  /** Appends a text to the log, which every stream receives as a `TextAdded`. */
  addText(text: string): void;
  /** Queues faults, each for one subscription. */
  queueFaults(...faults: readonly Fault[]): void;
}

interface Event {
  readonly __typename: string;
  readonly cursor: string;
  readonly text?: string;
}

type Stream = AsyncIterableIterator<Event, undefined> & {
  return(): Promise<IteratorResult<Event, undefined>>;
};

const createTextAdded = (position: number, text: string): Event => ({
  __typename: 'TextAdded',
  cursor: String(position),
  text,
});

export async function openScriptedServer(): Promise<ScriptedServer> {
  const log: string[] = [];
  const startCursors: (string | null)[] = [];
  const variables: unknown[] = [];
  const queuedFaults: Fault[] = [];
  const wakeups = new Set<() => void>();
  let openStreamCount = 0;

  const injectFault = (fault: Fault | undefined, socket: WebSocket | undefined): void => {
    if (fault === undefined) return;
    if ('close' in fault) socket?.close(fault.close, fault.reason);
    else throw new GraphQLError('Injected fault.', { extensions: fault.extensions });
  };
  /** Yields the texts after a position, then `StreamLive`, then new texts. */
  const readAfter = (start: number, fault: Fault | undefined, socket: WebSocket | undefined): Stream => {
    let position = start;
    let isLive = false;
    let isEnded = false;
    let wake = (): void => {};
    openStreamCount += 1;
    const stream: Stream = {
      async next() {
        for (;;) {
          if (isEnded) return { done: true, value: undefined };
          const text = log[position];
          if (text !== undefined) return { done: false, value: createTextAdded((position += 1), text) };
          if (!isLive) {
            isLive = true;
            return { done: false, value: { __typename: 'StreamLive', cursor: String(position) } };
          }
          try {
            injectFault(fault, socket);
          } catch (error) {
            await stream.return();
            throw error;
          }
          const { promise, resolve } = Promise.withResolvers<void>();
          wake = resolve;
          wakeups.add(wake);
          await promise;
          wakeups.delete(wake);
        }
      },
      async return() {
        if (!isEnded) openStreamCount -= 1;
        isEnded = true;
        wake();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]: () => stream,
    };
    return stream;
  };
  const openStream = (
    after: string | null | undefined,
    { socket }: { readonly socket?: WebSocket },
  ): Stream => {
    startCursors.push(after ?? null);
    const fault = queuedFaults.shift();
    if (fault?.at === 'start') injectFault(fault, socket);
    return readAfter(Number(after ?? log.length), fault?.at === 'live' ? fault : undefined, socket);
  };

  const schema = buildSchema(TYPES);
  const { events, typing } = schema.getSubscriptionType()?.getFields() ?? {};
  if (events === undefined || typing === undefined) throw new Error('The schema has no subscriptions.');
  events.subscribe = (_root, { after }: { after?: string | null }, context: object) =>
    openStream(after, context);
  events.resolve = (event: Event) => event;
  typing.subscribe = (_root, _arguments, context: object) => openStream(null, context);
  typing.resolve = (event: Event) => event;

  // A request without text runs the only persisted document.
  const persistedOperations: Plugin = {
    onParams({ params, setParams }) {
      if (params.query !== '') return;
      variables.push(params.variables);
      setParams({ ...params, query: EVENTS });
    },
  };
  const yoga = createYoga({ schema, maskedErrors: false, logging: false, plugins: [persistedOperations] });
  const server = createServer((request, response) => void yoga.handle(request, response));
  const sockets = new WebSocketServer({ server, path: '/graphql' });
  useServer(
    {
      schema,
      context: ({ extra }) => ({ socket: extra.socket }),
      onSubscribe(_context, _id, params) {
        if (params.query !== '') return;
        variables.push(params.variables);
        return { schema, document: parse(EVENTS), variableValues: params.variables };
      },
    },
    sockets,
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    startCursors,
    variables,
    get openStreamCount() {
      return openStreamCount;
    },
    addText(text) {
      log.push(text);
      for (const wake of wakeups) wake();
    },
    queueFaults: (...faults) => void queuedFaults.push(...faults),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
