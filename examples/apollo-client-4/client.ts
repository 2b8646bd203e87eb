import { ApolloClient, ApolloLink, CombinedGraphQLErrors, InMemoryCache } from '@apollo/client';
import { SetContextLink } from '@apollo/client/link/context';
import { ErrorLink } from '@apollo/client/link/error';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { relayStylePagination } from '@apollo/client/utilities';
import UploadHttpLink from 'apollo-upload-client/UploadHttpLink.mjs';
import { OperationTypeNode } from 'graphql';
import type { Client } from 'graphql-ws';
import possibleTypes from '../possible-types.json' with { type: 'json' };
import { graphqlUrl } from '../session.ts';
import type { Session } from '../session.ts';

export function createApolloClient(session: Session, webSocket: Client): ApolloClient {
  const authLink = new SetContextLink(async ({ headers }) => ({
    headers: { ...headers, authorization: `Bearer ${await session.getToken()}` },
  }));
  // Logs in again and retries once when the token has expired.
  const errorLink = new ErrorLink(({ error, operation, forward }) => {
    if (!CombinedGraphQLErrors.is(error)) return;
    if (error.errors[0]?.extensions?.code !== 'UNAUTHENTICATED') return;
    session.forget();
    return forward(operation);
  });
  return new ApolloClient({
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(webSocket),
      ApolloLink.from([errorLink, authLink, new UploadHttpLink({ uri: graphqlUrl })]),
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
