import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { embedApp } from '../../src/app.ts';
import type { AppOptions, EmbeddedApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createLogger } from '../../src/log.ts';
import { createGraphqlClient } from '../../src/testing/index.ts';
import type { GraphqlClient } from '../../src/testing/index.ts';
import { openTestDatabase } from './database.ts';

/** An HTTP server of a host, and a gateway on it. */
export interface HostApp extends AsyncDisposable {
  readonly url: string;
  readonly server: Server;
  readonly app: EmbeddedApp;
  /** Returns a GraphQL client with the token of a new account. */
  createClient(firstName?: string): Promise<GraphqlClient & { readonly token: string }>;
}

const SETTINGS = {
  DATA_DIR: 'memory',
  HOST: '0.0.0.0',
  LOG_LEVEL: 'silent',
  RATE_LIMITS: 'off',
  DEMO: 'off',
};

export async function startHostApp(
  options: Partial<AppOptions> = {},
  listener: RequestListener = (request, response) => void response.end(`host ${request.url}`),
): Promise<HostApp> {
  const server = createServer(listener);
  const app = await embedApp(
    {
      config: readConfig(SETTINGS),
      log: createLogger('silent'),
      database: await openTestDatabase(),
      passwordMemoryKib: 8,
      routes: ['graphql', 'socket.io', 'media'],
      ...options,
    },
    server,
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const clients: GraphqlClient[] = [];
  const open = (token?: string): GraphqlClient => {
    const client = createGraphqlClient(url, token);
    clients.push(client);
    return client;
  };
  let accounts = 0;
  return {
    url,
    server,
    app,
    async createClient(firstName = 'Ann') {
      accounts += 1;
      const { createAccount } = await open().run<{ createAccount: { token: string } }>(
        'mutation ($input: CreateAccountInput!) { createAccount(input: $input) { token } }',
        {
          input: {
            email: `user-${accounts}@example.com`,
            password: 'a password of the tests',
            firstName,
            lastName: '',
          },
        },
      );
      const { token } = createAccount;
      return Object.assign(open(token), { token });
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
      await app[Symbol.asyncDispose]();
      server.closeAllConnections();
      server.close();
    },
  };
}
