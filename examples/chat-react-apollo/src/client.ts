import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { RetryLink } from '@apollo/client/link/retry';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';
import { resumable } from 'parley/client';
import { CONVERSATIONS } from './operations.ts';
import possibleTypes from './possible-types.json' with { type: 'json' };

const url = import.meta.env.VITE_PARLEY_URL ?? 'http://127.0.0.1:4000';
export const graphqlUrl = `${url}/graphql`;

export function createApolloClient(token: string): ApolloClient {
  const webSocket = resumable(
    createClient({
      url: graphqlUrl.replace(/^http/, 'ws'),
      connectionParams: { token },
      retryAttempts: 0, // parley/client retries
    }),
    {
      // The log was trimmed past the cursor: read the conversations again, and resume from there. The inbox has no such cursor:
      // see useInboxEvents.
      async onExpired({ payload }) {
        if (payload.variables?.id === undefined) return null;
        const { data } = await client.query({ query: CONVERSATIONS, fetchPolicy: 'network-only' });
        const conversations = data?.circles.nodes.flatMap((circle) => circle.conversations.nodes);
        return conversations?.find(({ id }) => id === payload.variables?.id)?.eventCursor;
      },
    },
  );
  const client = new ApolloClient({
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(webSocket),
      ApolloLink.from([
        // `fetch` throws a TypeError if the connection fails. Each operation can be repeated.
        new RetryLink({
          attempts: { max: Infinity, retryIf: (error) => error instanceof TypeError },
          delay: { max: 15_000 },
        }),
        new HttpLink({ uri: graphqlUrl, headers: { authorization: `Bearer ${token}` } }),
      ]),
    ),
    cache: new InMemoryCache({
      possibleTypes,
      typePolicies: {
        // Events have no `id`: replace the previous event instead of merging.
        Subscription: { fields: { conversationEvents: { merge: false }, inboxEvents: { merge: false } } },
        Conversation: { fields: { messages: { merge: false } } },
      },
    }),
  });
  return client;
}
