// Inserts many accounts and conversations into a database directly, before a server opens it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { loadOrCreateSecret } from '../src/services/data-dir.ts';
import { openDatabase } from '../src/db/database.ts';
import type { DatabaseOptions } from '../src/db/database.ts';
import { createTokens } from '../src/services/tokens.ts';
import type { UserId } from '../src/ids.ts';
import { createLogger } from '../src/log.ts';
import { startServer } from './server.ts';
import type { Server } from './server.ts';

export interface SeedOptions {
  readonly accounts: number;
  /** Members per conversation. */
  readonly perConversation: number;
}

/** An account with a conversation, as substitutions for a client script. */
export type Member = Readonly<Record<'token' | 'conversation', string>>;

/** Creates the inserts: accounts `1` to `n`, and for each conversation a circle with the same id. */
const createSeedStatements = ({ accounts, perConversation }: SeedOptions) => {
  const numbers = sql`generate_series(1, ${accounts}::int) as number`;
  const conversations = sql`generate_series(1, ${Math.ceil(accounts / perConversation)}::int) as number`;
  const conversation = sql`(number - 1) / ${perConversation}::int + 1`;
  const admin = sql`(number - 1) % ${perConversation}::int = 0`;
  return [
    sql`insert into users (email, first_name, last_name) select number || '@example.com', 'Test', number::text from ${numbers}`,
    sql`insert into circles (name) select 'Family' from ${conversations}`,
    sql`insert into conversations (circle_id, name) select number, 'Talk' from ${conversations}`,
    sql`insert into memberships (circle_id, user_id, role)
      select ${conversation}, number, case when ${admin} then 'ADMIN' else 'MEMBER' end from ${numbers}`,
    sql`insert into participants (conversation_id, user_id, role)
      select ${conversation}, number, case when ${admin} then 'ADMIN' else 'STANDARD' end from ${numbers}`,
    sql`insert into topics (topic) select 'user:' || number from ${numbers}`,
    sql`insert into topics (topic)
      select kind || number from ${conversations}, unnest(array['circle:', 'conversation:']) as kind`,
    sql`analyze`,
  ];
};

/** Fills an empty database. Returns the accounts with tokens for a server with this secret. */
export async function seedAccounts(
  options: SeedOptions,
  databaseOptions: DatabaseOptions,
  secret: string,
): Promise<readonly Member[]> {
  await using database = await openDatabase(databaseOptions, createLogger('warn'));
  for (const statement of createSeedStatements(options)) await statement.execute(database.db);
  const tokens = createTokens({ secret });
  return await Promise.all(
    Array.from({ length: options.accounts }, async (_, index) => ({
      token: (await tokens.issue({ kind: 'user', id: (index + 1) as UserId })).token,
      conversation: `Conversation:${Math.floor(index / options.perConversation) + 1}`,
    })),
  );
}

export interface SeededServer extends AsyncDisposable {
  readonly server: Server;
  readonly members: readonly Member[];
}

/** Starts a server on a seeded database: PostgreSQL at the URL, or else an embedded one. */
export async function startSeededServer(
  seed: SeedOptions,
  postgres?: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<SeededServer> {
  await using stack = new AsyncDisposableStack();
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-bench-'));
  stack.defer(() => rm(dataDir, { recursive: true, force: true }));
  const secret = await loadOrCreateSecret(dataDir);
  const members = await seedAccounts(
    seed,
    postgres === undefined ? { kind: 'pglite', dir: dataDir } : { kind: 'postgres', url: postgres },
    secret,
  );
  const server = stack.use(
    await startServer(dataDir, {
      ...settings,
      ...(postgres === undefined ? {} : { DATABASE_URL: postgres, AUTH_SECRET: secret }),
    }),
  );
  const resources = stack.move();
  return { server, members, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}
