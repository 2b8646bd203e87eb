import { createClient } from 'graphql-ws';
import type { Client } from 'graphql-ws';
import { sql } from 'kysely';
import { WebSocket } from 'ws';
import type { Database } from '../../src/db/database.ts';
import { createReceiveQueue } from '../../src/testing/receive-queue.ts';
import type { ReceiveQueue } from '../../src/testing/receive-queue.ts';
import { createGateway } from '../../src/testing/index.ts';
import type { LegacyClient, LegacyIo, Entity, TestAccount, TestGateway } from '../../src/testing/index.ts';
import { loadClient } from '../clients/load.ts';
import { openTestDatabase } from '../harness/database.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';
import { pause } from '../harness/waiting.ts';
import { readPage } from './migration-page.ts';
import { runSnippet } from './snippets.ts';

export type Data = Record<string, unknown>;

/** Ann, Bob, their circle and their conversation, with the ids of docs/migration.md. */
export interface MigrationFixture extends AsyncDisposable {
  readonly app: TestGateway;
  readonly ann: TestAccount;
  readonly bob: TestAccount;
  readonly circle: Entity;
  readonly conversation: Entity;
  /** Connects a legacy client of version 1.3.6, authenticated if an account is given. */
  connectLegacy(account?: TestAccount): Promise<LegacyClient>;
  /** Opens a GraphQL connection of the account, as on the page. */
  connectGraphql(account: TestAccount): Promise<GraphqlConnection>;
}

/** The names that the page's section on the new connection defines. */
export interface GraphqlConnection {
  readonly client: Client;
  run(query: string, variables?: Data): Promise<Data>;
  follow(query: string, variables: Data | undefined, onEvent: (event: Data) => boolean | void): Promise<void>;
}

/** The id of the first object of each kind on the page. */
const FIRST_IDS = {
  users: 7,
  circles: 3,
  devices: 4,
  invitations: 4,
  conversations: 12,
  participants: 20,
  messages: 40,
  media: 60,
};

/** `io` of the legacy client's version on the page. */
const legacyIo: LegacyIo = (url, options) => {
  const socket = loadClient('1.3.6')(url, options);
  return {
    get connected() {
      return socket.connected;
    },
    on: (channel, listener) => socket.on(channel, listener as (...args: unknown[]) => void),
    emit: (channel, ...args) => socket.emit(channel, ...args),
    close: () => socket.close(),
  };
};

export async function openFixture(): Promise<MigrationFixture> {
  const database = await openTestDatabase();
  await setFirstIds(database);
  await using stack = new AsyncDisposableStack();
  const app = stack.use(await createGateway({ database }));
  const accounts = await createAnnAndBob(app);
  const owned = stack.move();
  return {
    app,
    ...accounts,
    async connectLegacy(account) {
      const client = owned.use(await app.connectLegacy({ io: legacyIo }));
      if (account !== undefined) await client.push('authenticate', { token: account.token });
      return client;
    },
    async connectGraphql(account) {
      const connection = await openGraphqlConnection(app.url, account.token);
      owned.defer(() => connection.client.dispose());
      return connection;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Sets the sequences of an emptied database to the ids of the page. */
export async function setFirstIds({ db }: Database): Promise<void> {
  for (const [table, first] of Object.entries(FIRST_IDS)) {
    await sql`alter table ${sql.table(table)} alter column id restart with ${sql.lit(first)}`.execute(db);
  }
}

/** Globals of a script of the page. Its connection reconnects quickly. */
export const graphqlScope = {
  createClient: (options: Parameters<typeof createClient>[0]) =>
    createClient({
      ...options,
      webSocketImpl: WebSocket,
      retryWait: () => pause(50),
    }),
};

/** Reads the code of the page's section on the new connection. */
export async function readConnectionScript(): Promise<string> {
  const section = (await readPage()).find(({ title }) => title === 'The new connection');
  return section?.scripts[0] ?? '';
}

async function openGraphqlConnection(url: string, token: string): Promise<GraphqlConnection> {
  const code = `${await readConnectionScript()} return { client, run, follow };`;
  return runSnippet<GraphqlConnection>(code, url, { ...graphqlScope, token });
}

/** Runs a subscription as on the page, and queues its events. */
export function subscribe(
  connection: GraphqlConnection,
  query: string,
  variables?: Data,
): ReceiveQueue<Data> {
  const events = createReceiveQueue<Data>('events');
  connection.follow(query, { ...variables }, events.push).catch((error: unknown) => {
    events.fail(new Error(`The subscription ended: ${JSON.stringify(error)}`));
  });
  return events;
}

/** Replaces dates and random names, which differ between runs. */
export const maskVariableValues = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value)
      .replaceAll(/"\d{4}-\d\d-\d\dT[\d:.]+Z?"/g, '"<date>"')
      .replaceAll(/"last_name":"[0-9a-f]{8}"/g, '"last_name":"<name>"'),
  ) as unknown;
