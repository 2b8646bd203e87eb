import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { authExchange } from '@urql/exchange-auth';
import type { Client as WebSocketClient } from 'graphql-ws';
import { graphqlUrl } from '../session.ts';
import type { Session } from '../session.ts';
import { createCache } from './cache.ts';
import { LOG_IN } from './operations.ts';

export function createUrqlClient(session: Session, webSocket: WebSocketClient): Client {
  return new Client({
    url: graphqlUrl,
    preferGetMethod: false,
    exchanges: [
      createCache(),
      authExchange(async (utils) => {
        let token = await session.getToken();
        return {
          addAuthToOperation: (operation) =>
            utils.appendHeaders(operation, { Authorization: `Bearer ${token}` }),
          didAuthError: (error) =>
            error.graphQLErrors.some(({ extensions }) => extensions.code === 'UNAUTHENTICATED'),
          async refreshAuth() {
            // An app prompts for the password. The header still has the expired token, which does not prevent the login.
            const { data, error } = await utils.mutate(LOG_IN, {
              email: 'ann@example.com',
              password: 'parley',
            });
            if (!data) throw error ?? new Error('No data.');
            token = data.login.token;
            session.setToken(token);
          },
        };
      }),
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query, variables }) => ({
          subscribe: (sink) => ({
            unsubscribe: webSocket.subscribe({ query: query ?? '', variables }, sink),
          }),
        }),
      }),
    ],
  });
}
