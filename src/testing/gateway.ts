import { startApp } from '../app.ts';
import type { ConnectionLimits } from '../bridge/connection-limits.ts';
import { readConfig } from '../config.ts';
import type { Database } from '../db/database.ts';
import { createLogger } from '../log.ts';
import { createTestAccount } from './account.ts';
import type { NewAccount, TestAccount } from './account.ts';
import { createGraphqlClient } from './graphql-client.ts';
import type { GraphqlClient } from './graphql-client.ts';
import { connectLegacy } from './legacy-client.ts';
import type { LegacyClient, LegacyOptions } from './legacy-client.ts';

export interface GatewayOptions {
  /**
   * Settings (docs/configuration.md). Defaults for tests: an in-memory database, a free port on 127.0.0.1, no log, no rate
   * limits, and a presence grace period of 200 ms.
   */
  readonly env?: Readonly<Record<string, string>>;
  /** An open database, to share between gateways or tests. Not closed with the gateway. */
  readonly database?: Database;
  /** Whether to create the demo accounts, ann@example.com and bob@example.com. Default: false. */
  readonly demo?: boolean;
  /** Overrides limits of the Socket.IO bridge, for example the heartbeat interval. */
  readonly legacyLimits?: Partial<ConnectionLimits>;
}

/** A complete gateway running in this process. Dispose it, preferably with `await using`. */
export interface TestGateway extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  /** A GraphQL client without a token. */
  readonly graphql: GraphqlClient;
  /** Creates an account and returns it with its clients. Name and e-mail address are random unless given. */
  createAccount(values?: NewAccount): Promise<TestAccount>;
  /** Connects a legacy client without authenticating it. */
  connectLegacy(options?: LegacyOptions): Promise<LegacyClient>;
}

const TEST_ENVIRONMENT = {
  DATA_DIR: 'memory',
  HOST: '127.0.0.1',
  PORT: '0',
  LOG_LEVEL: 'silent',
  RATE_LIMITS: 'off',
  PRESENCE_GRACE_MS: '200',
};

/** Cheap password hashes: the memory in production is 19 MiB, about 50 ms of CPU each. */
const PASSWORD_MEMORY_KIB = 8;

/** Starts a gateway for a test. Several can run in one process. */
export async function createGateway({
  env = {},
  database,
  demo = false,
  legacyLimits,
}: GatewayOptions = {}): Promise<TestGateway> {
  const config = readConfig({ ...TEST_ENVIRONMENT, DEMO: demo ? 'on' : 'off', ...env });
  await using stack = new AsyncDisposableStack();
  const app = stack.use(
    await startApp({
      config,
      log: createLogger(config.LOG_LEVEL),
      database,
      legacyLimits,
      passwordMemoryKib: PASSWORD_MEMORY_KIB,
    }),
  );
  const graphql = stack.use(createGraphqlClient(app.url));
  const accounts: TestAccount[] = [];
  stack.defer(async () => {
    await Promise.all(accounts.map((account) => account[Symbol.asyncDispose]()));
  });
  const owned = stack.move();
  return {
    url: app.url,
    graphql,
    async createAccount(values) {
      const account = await createTestAccount(app.url, graphql, values);
      accounts.push(account);
      return account;
    },
    connectLegacy: (options) => connectLegacy(app.url, options),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
