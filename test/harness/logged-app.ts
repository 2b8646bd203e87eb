import { Writable } from 'node:stream';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createLogger } from '../../src/log.ts';
import { createTestAccount } from '../../src/testing/account.ts';
import { connectLegacy, createGraphqlClient } from '../../src/testing/index.ts';
import type { NewAccount, TestGateway } from '../../src/testing/index.ts';
import { openTestDatabase } from './database.ts';

type LogLine = Readonly<Record<string, unknown>>;

/** A gateway whose log is captured. */
interface LoggedApp extends TestGateway {
  /** Returns the whole log as text. */
  text(): string;
  /** Returns the log lines that have all of these fields. */
  lines(fields: LogLine): readonly LogLine[];
  metrics(): Promise<string>;
}

/** Starts a gateway that logs at level debug, and captures its log. */
export async function startLoggedApp(env: Readonly<Record<string, string>> = {}): Promise<LoggedApp> {
  let text = '';
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  await using stack = new AsyncDisposableStack();
  const config = readConfig({
    DATA_DIR: 'memory',
    HOST: '127.0.0.1',
    PORT: '0',
    RATE_LIMITS: 'off',
    DEMO: 'off',
    PRESENCE_GRACE_MS: '200',
    ...env,
  });
  const app = stack.use(
    await startApp({
      config,
      log: createLogger('debug', destination),
      database: await openTestDatabase(),
      passwordMemoryKib: 8,
    }),
  );
  const graphql = stack.use(createGraphqlClient(app.url));
  const accounts = stack.use(new AsyncDisposableStack());
  const owned = stack.move();
  return {
    url: app.url,
    graphql,
    createAccount: async (values?: NewAccount) =>
      accounts.use(await createTestAccount(app.url, graphql, values)),
    connectLegacy: (options) => connectLegacy(app.url, options),
    text: () => text,
    lines: (fields) =>
      text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as LogLine)
        .filter((line) => Object.entries(fields).every(([name, value]) => line[name] === value)),
    metrics: async () => (await fetch(`${app.url}/metrics`)).text(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
