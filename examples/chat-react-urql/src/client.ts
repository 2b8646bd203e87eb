import { retryExchange } from '@urql/exchange-retry';
import { createClient } from 'graphql-ws';
import { resumable } from 'parley/client';
import { Client, fetchExchange, subscriptionExchange } from 'urql';
import { createCache } from './cache.ts';
import { CONVERSATIONS } from './operations.ts';

const url = import.meta.env.VITE_PARLEY_URL ?? 'http://127.0.0.1:4000';
export const graphqlUrl = `${url}/graphql`;

export function createUrqlClient(token: string): Client {
  const webSocket = resumable(
    createClient({
      url: graphqlUrl.replace(/^http/, 'ws'),
      connectionParams: { token },
      retryAttempts: 0, // parley/client retries
    }),
    {
      // The log was trimmed past the cursor: read the conversations again, and resume from there. The inbox has no such cursor:
      // see chat.tsx.
      async onExpired({ payload }) {
        if (payload.variables?.id === undefined) return null;
        const { data } = await client.query(CONVERSATIONS, {}, { requestPolicy: 'network-only' });
        const conversations = data?.circles.nodes.flatMap((circle) => circle.conversations.nodes);
        return conversations?.find(({ id }) => id === payload.variables?.id)?.eventCursor;
      },
    },
  );
  const client = new Client({
    url: graphqlUrl,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization: `Bearer ${token}` } },
    exchanges: [
      createCache(),
      // Each operation can be repeated.
      retryExchange({
        maxNumberAttempts: Infinity,
        // parley/client retries subscriptions, and ends them when a retry is of no use.
        retryIf: ({ networkError }, { kind }) => networkError !== undefined && kind !== 'subscription',
      }),
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = '', variables }) => ({
          subscribe: (sink) => ({ unsubscribe: webSocket.subscribe({ query, variables }, sink) }),
        }),
      }),
    ],
  });
  return client;
}
