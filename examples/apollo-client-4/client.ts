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
  // Logs in again, once, when the token is not accepted any more.
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
        // An event has no `id`. It replaces the one before, and is not merged with it.
        Subscription: { fields: { conversationEvents: { merge: false } } },
      },
    }),
  });
}
