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

/**
 * A server that fails subscriptions on demand, in ways that the real server cannot be made to. Its cursors are numbers.
 */
export interface ScriptedServer extends AsyncDisposable {
  readonly url: string;
  /** The cursors that streams started after. */
  readonly begun: (string | null)[];
  /** The variables of persisted operations, in order of arrival. */
  readonly variables: unknown[];
  /** The number of open streams. */
  readonly open: number;
  say(text: string): void;
  /** Queues failures, each for one subscription. */
  plan(...faults: readonly Fault[]): void;
}

interface Event {
  readonly __typename: string;
  readonly cursor: string;
  readonly text?: string;
}

type Stream = AsyncIterableIterator<Event, undefined> & {
  return(): Promise<IteratorResult<Event, undefined>>;
};

const said = (position: number, text: string): Event => ({
  __typename: 'TextAdded',
  cursor: String(position),
  text,
});

export async function openScriptedServer(): Promise<ScriptedServer> {
  const log: string[] = [];
  const begun: (string | null)[] = [];
  const variables: unknown[] = [];
  const faults: Fault[] = [];
  const wakers = new Set<() => void>();
  let open = 0;

  const suffer = (fault: Fault | undefined, socket: WebSocket | undefined): void => {
    if (fault === undefined) return;
    if ('close' in fault) socket?.close(fault.close, fault.reason);
    else throw new GraphQLError('It is over.', { extensions: fault.extensions });
  };
  /** Yields the texts after the position, then `StreamLive`, then new texts. */
  const readAfter = (position: number, fault: Fault | undefined, socket: WebSocket | undefined): Stream => {
    let read = position;
    let isLive = false;
    let isOver = false;
    let wake = (): void => {};
    open += 1;
    const stream: Stream = {
      async next() {
        for (;;) {
          if (isOver) return { done: true, value: undefined };
          const text = log[read];
          if (text !== undefined) return { done: false, value: said((read += 1), text) };
          if (!isLive) {
            isLive = true;
            return { done: false, value: { __typename: 'StreamLive', cursor: String(read) } };
          }
          try {
            suffer(fault, socket);
          } catch (error) {
            await stream.return();
            throw error;
          }
          const { promise, resolve } = Promise.withResolvers<void>();
          wake = resolve;
          wakers.add(wake);
          await promise;
          wakers.delete(wake);
        }
      },
      async return() {
        if (!isOver) open -= 1;
        isOver = true;
        wake();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]: () => stream,
    };
    return stream;
  };
  const begin = (after: string | null | undefined, { socket }: { readonly socket?: WebSocket }): Stream => {
    begun.push(after ?? null);
    const fault = faults.shift();
    if (fault?.at === 'start') suffer(fault, socket);
    return readAfter(Number(after ?? log.length), fault?.at === 'live' ? fault : undefined, socket);
  };

  const schema = buildSchema(TYPES);
  const { events, typing } = schema.getSubscriptionType()?.getFields() ?? {};
  if (events === undefined || typing === undefined) throw new Error('The schema has no subscriptions.');
  events.subscribe = (_root, { after }: { after?: string | null }, context: object) => begin(after, context);
  events.resolve = (event: Event) => event;
  typing.subscribe = (_root, _arguments, context: object) => begin(null, context);
  typing.resolve = (event: Event) => event;

  // A request without text runs the only persisted document.
  const stored: Plugin = {
    onParams({ params, setParams }) {
      if (params.query !== '') return;
      variables.push(params.variables);
      setParams({ ...params, query: EVENTS });
    },
  };
  const yoga = createYoga({ schema, maskedErrors: false, logging: false, plugins: [stored] });
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
    begun,
    variables,
    get open() {
      return open;
    },
    say(text) {
      log.push(text);
      for (const wake of wakers) wake();
    },
    plan: (...planned) => void faults.push(...planned),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
