import { ApolloClient, InMemoryCache, from, split } from '@apollo/client/core/index.js';
import type { NormalizedCacheObject } from '@apollo/client/core/index.js';
import { setContext } from '@apollo/client/link/context/index.js';
import { onError } from '@apollo/client/link/error/index.js';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions/index.js';
import { getMainDefinition, relayStylePagination } from '@apollo/client/utilities/index.js';
import createUploadLink from 'apollo-upload-client/createUploadLink.mjs';
import type { Client } from 'graphql-ws';
import possibleTypes from '../possible-types.json' with { type: 'json' };
import { graphqlUrl } from '../session.ts';
import type { Session } from '../session.ts';

export function createApolloClient(session: Session, webSocket: Client): ApolloClient<NormalizedCacheObject> {
  const authLink = setContext(async (_, { headers }) => ({
    headers: { ...headers, authorization: `Bearer ${await session.getToken()}` },
  }));
  // Logs in again and retries once when the token has expired.
  const errorLink = onError(({ graphQLErrors, networkError, operation, forward }) => {
    const status = networkError && 'statusCode' in networkError ? networkError.statusCode : undefined;
    if (status !== 401 && graphQLErrors?.[0]?.extensions?.code !== 'UNAUTHENTICATED') return;
    session.forget();
    return forward(operation);
  });
  return new ApolloClient({
    link: split(
      ({ query }) => {
        const definition = getMainDefinition(query);
        return definition.kind === 'OperationDefinition' && definition.operation === 'subscription';
      },
      new GraphQLWsLink(webSocket),
      from([errorLink, authLink, createUploadLink({ uri: graphqlUrl })]),
    ),
    cache: new InMemoryCache({
      possibleTypes,
      typePolicies: {
        Conversation: { fields: { messages: relayStylePagination() } },
        // Events have no `id`: replace the previous event instead of merging.
        Subscription: { fields: { conversationEvents: { merge: false } } },
      },
    }),
  });
}
