import { startApp } from '../app.ts';
import type { BridgeLimits } from '../bridge/limits.ts';
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
   * Environment variables, as the product reads them (docs/configuration.md). Those a test needs are set: nothing is
   * kept, a free port of 127.0.0.1, no log, no rate limits, and a short presence grace.
   */
  readonly env?: Readonly<Record<string, string>>;
  /** An open database to share between gateways, or to keep between tests. It stays open. */
  readonly database?: Database;
  /** Whether there are the demo accounts of a first start, ann@example.com and bob@example.com. */
  readonly demo?: boolean;
  /** Other bounds for legacy clients than the usual ones, as for heartbeats that come sooner. */
  readonly legacyLimits?: Partial<BridgeLimits>;
}

/** The whole product, running in this process. Dispose of it, best with `await using`. */
export interface TestGateway extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  /** GraphQL without an account. */
  readonly graphql: GraphqlClient;
  /** Creates an account and answers it with its clients. Names and e-mail are made up unless given. */
  account(given?: NewAccount): Promise<TestAccount>;
  /** Connects an old client that is not authenticated. */
  legacy(options?: LegacyOptions): Promise<LegacyClient>;
}

const TEST_ENVIRONMENT = {
  DATA_DIR: 'memory',
  HOST: '127.0.0.1',
  PORT: '0',
  LOG_LEVEL: 'silent',
  RATE_LIMITS: 'off',
  PRESENCE_GRACE_MS: '200',
};

/** Cheap password hashes: the production cost is 15, about 50 ms of CPU each. */
const PASSWORD_COST = 4;

/** Starts a gateway of your own for a test, as many at a time as you like. */
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
      passwordCost: PASSWORD_COST,
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
    async account(given) {
      const account = await createTestAccount(app.url, graphql, given);
      accounts.push(account);
      return account;
    },
    legacy: (options) => connectLegacy(app.url, options),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
