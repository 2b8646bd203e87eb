import { ApolloClient, gql, HttpLink, InMemoryCache } from 'apollo-client-3/core/index.js';
import { createPersistedQueryLink } from 'apollo-client-3/link/persisted-queries/index.js';
import { graphqlUrl } from '../session.ts';
import { fetchAndPrint, sha256 } from './requests.ts';

const client = new ApolloClient({
  link: createPersistedQueryLink({ sha256, useGETForHashedQueries: process.env.GET === '1' }).concat(
    new HttpLink({ uri: graphqlUrl, fetch: fetchAndPrint }),
  ),
  cache: new InMemoryCache(),
});

for (const _round of [1, 2]) {
  const query = gql`
    query Apollo3 {
      me {
        __typename
      }
    }
  `;
  const { data } = await client.query<{ me: { __typename: string } }>({ query, fetchPolicy: 'no-cache' });
  console.log(data.me.__typename);
}
client.stop();
