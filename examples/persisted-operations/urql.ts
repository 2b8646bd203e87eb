import { Client, fetchExchange, gql } from '@urql/core';
import { persistedExchange } from '@urql/exchange-persisted';
import { graphqlUrl } from '../session.ts';
import { fetchAndPrint, sha256 } from './requests.ts';

const client = new Client({
  url: graphqlUrl,
  fetch: fetchAndPrint,
  exchanges: [
    persistedExchange({
      preferGetForPersistedQueries: process.env.GET === '1',
      enableForMutation: true,
      generateHash: async (text) => sha256(text),
    }),
    fetchExchange,
  ],
});

for (const _round of [1, 2]) {
  const { data, error } = await client.query(
    gql`
      query Urql {
        me {
          __typename
        }
      }
    `,
    {},
  );
  console.log(error?.message ?? data.me.__typename);
}
