import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';
import { graphqlUrl, webSocketUrl } from '../session.ts';
import { connectionParams, fetchAndPrint, sha256 } from './requests.ts';

const webSocket = createClient({ url: webSocketUrl, connectionParams });
const client = new ApolloClient({
  link: new PersistedQueryLink({ sha256, useGETForHashedQueries: process.env.GET === '1' }).concat(
    ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(webSocket),
      new HttpLink({ uri: graphqlUrl, fetch: fetchAndPrint }),
    ),
  ),
  cache: new InMemoryCache(),
});

for (const _round of [1, 2]) {
  const query = gql`
    query Apollo4 {
      me {
        __typename
      }
    }
  `;
  const { data } = await client.query<{ me: { __typename: string } }>({ query, fetchPolicy: 'no-cache' });
  console.log(data?.me.__typename);
}
const events = gql`
  subscription Apollo4Events {
    inboxEvents {
      __typename
    }
  }
`;
await new Promise<void>((resolve, reject) => {
  client.subscribe<{ inboxEvents: { __typename: string } }>({ query: events }).subscribe({
    next({ data, error }) {
      console.log(data?.inboxEvents.__typename ?? error?.message);
      resolve();
    },
    error: reject,
  });
});
await webSocket.dispose();
