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
import { execute } from './snippets.ts';

export type Data = Record<string, unknown>;

/** Ann, Bob, their circle and their conversation, with the ids of docs/migration.md. */
export interface Stage extends AsyncDisposable {
  readonly app: TestGateway;
  readonly ann: TestAccount;
  readonly bob: TestAccount;
  readonly circle: Entity;
  readonly conversation: Entity;
  /** Connects a legacy client of version 1.3.6, authenticated if an account is given. */
  old(account?: TestAccount): Promise<LegacyClient>;
  /** Opens a GraphQL connection of the account, as on the page. */
  modern(account: TestAccount): Promise<Modern>;
}

/** The names that the page's section on the new connection defines. */
export interface Modern {
  readonly client: Client;
  run(query: string, variables?: Data): Promise<Data>;
  follow(query: string, variables: Data | undefined, onEvent: (event: Data) => boolean | void): Promise<void>;
}

/** The page's ids of the first object of each kind. */
const FIRST = {
  users: 7,
  circles: 3,
  devices: 4,
  invitations: 4,
  conversations: 12,
  participants: 20,
  messages: 40,
  media: 60,
};

/** The version of the legacy client on the page. */
const io: LegacyIo = (url, options) => {
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

export async function openStage(): Promise<Stage> {
  const database = await openTestDatabase();
  await numberAsOnThePage(database);
  await using stack = new AsyncDisposableStack();
  const app = stack.use(await createGateway({ database }));
  const people = await createAnnAndBob(app);
  const owned = stack.move();
  return {
    app,
    ...people,
    async old(account) {
      const client = owned.use(await app.connectLegacy({ io }));
      if (account !== undefined) await client.push('authenticate', { token: account.token });
      return client;
    },
    async modern(account) {
      const opened = await openModern(app.url, account.token);
      owned.defer(() => opened.client.dispose());
      return opened;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Sets the sequences of an emptied database to these ids. */
export async function numberAsOnThePage({ db }: Database): Promise<void> {
  for (const [table, first] of Object.entries(FIRST)) {
    await sql`alter table ${sql.table(table)} alter column id restart with ${sql.lit(first)}`.execute(db);
  }
}

/** The globals that a script of the page needs for a new connection, which reconnects quickly. */
export const modernScope = {
  createClient: (options: Parameters<typeof createClient>[0]) =>
    createClient({
      ...options,
      webSocketImpl: WebSocket,
      retryWait: () => pause(50),
    }),
};

/** The code of the page's section on the new connection. */
export async function connectionScript(): Promise<string> {
  const section = (await readPage()).find(({ title }) => title === 'The new connection');
  return section?.scripts[0] ?? '';
}

async function openModern(url: string, token: string): Promise<Modern> {
  const code = `${await connectionScript()} return { client, run, follow };`;
  return execute<Modern>(code, url, { ...modernScope, token });
}

/** Follows a subscription of the page. Its events are queued in the inbox. */
export function subscribe(modern: Modern, query: string, variables?: Data): ReceiveQueue<Data> {
  const events = createReceiveQueue<Data>('events');
  modern.follow(query, { ...variables }, events.push).catch((problem: unknown) => {
    events.fail(new Error(`The subscription ended: ${JSON.stringify(problem)}`));
  });
  return events;
}

/** Removes the values that differ between runs. */
export const steady = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value)
      .replaceAll(/"\d{4}-\d\d-\d\dT[\d:.]+Z?"/g, '"<date>"')
      .replaceAll(/"last_name":"[0-9a-f]{8}"/g, '"last_name":"<name>"'),
  ) as unknown;
