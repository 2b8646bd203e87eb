// Peer: graphql-yoga and graphql-ws as in their manuals. Each subscriber executes each event separately.
import { setMaxListeners } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { ExecutionArgs } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { createPubSub, createSchema, createYoga } from 'graphql-yoga';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { servePeer } from './serve.ts';

interface MessageSent {
  readonly cursor: string;
  readonly at: string;
  readonly message: {
    readonly id: string;
    readonly text: string;
    readonly sentAt: string;
    readonly author: { readonly id: string; readonly firstName: string };
  };
}

// Every subscriber adds a listener to the one pub/sub.
setMaxListeners(0);
const pubSub = createPubSub<{ sent: [MessageSent] }>();
const yoga = createYoga({
  logging: false,
  schema: createSchema({
    typeDefs: /* GraphQL */ `
      interface Event {
        cursor: String!
        at: String!
      }
      type StreamLive implements Event {
        cursor: String!
        at: String!
      }
      type MessageSent implements Event {
        cursor: String!
        at: String!
        message: Message!
      }
      type Message {
        id: ID!
        text: String!
        sentAt: String!
        author: Actor!
      }
      union Actor = User
      type User {
        id: ID!
        firstName: String!
      }
      type Query {
        nothing: Int
      }
      type Subscription {
        conversationEvents(conversationId: ID!): Event!
      }
    `,
    resolvers: {
      Event: { __resolveType: (event: object) => ('message' in event ? 'MessageSent' : 'StreamLive') },
      Actor: { __resolveType: () => 'User' },
      Subscription: {
        conversationEvents: {
          async *subscribe() {
            const events = pubSub.subscribe('sent');
            yield { cursor: '', at: '' };
            yield* events;
          },
          resolve: (event: object) => event,
        },
      },
    },
  }),
});

type Enveloped = ReturnType<typeof yoga.getEnveloped>;
type Args = ExecutionArgs & { rootValue: Pick<Enveloped, 'execute' | 'subscribe'> };

const server = createServer((request, response) => void yoga(request, response));
useServer<Record<string, unknown>, { socket: WebSocket; request: IncomingMessage }>(
  {
    execute: (args) => (args as Args).rootValue.execute(args) as never,
    subscribe: (args) => (args as Args).rootValue.subscribe(args) as never,
    async onSubscribe(context, _id, params) {
      const enveloped = yoga.getEnveloped({ ...context, req: context.extra.request, params });
      const { schema, execute, subscribe, contextFactory, parse, validate } = enveloped;
      const document = parse(params.query);
      const errors = validate(schema, document);
      if (errors.length > 0) return errors;
      return {
        schema,
        document,
        operationName: params.operationName,
        variableValues: params.variables,
        contextValue: await contextFactory(),
        rootValue: { execute, subscribe },
      };
    },
  },
  new WebSocketServer({ server, path: '/graphql' }),
);
servePeer(server, (text) => pubSub.publish('sent', JSON.parse(text) as MessageSent));
