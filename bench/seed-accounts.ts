// Many accounts and conversations, written straight into a database that no server has open yet.
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

export interface CrowdOptions {
  readonly accounts: number;
  /** So many of them take part in each conversation. */
  readonly together: number;
}

/** An account with a conversation, in the form in which a greeting takes it. */
export type Member = Readonly<Record<'token' | 'conversation', string>>;

/** Tables that are filled, in this order: accounts `1` to `n`, and for each conversation a circle of the same number. */
const statements = ({ accounts, together }: CrowdOptions) => {
  const numbers = sql`generate_series(1, ${accounts}::int) as number`;
  const talks = sql`generate_series(1, ${Math.ceil(accounts / together)}::int) as number`;
  const talk = sql`(number - 1) / ${together}::int + 1`;
  const admin = sql`(number - 1) % ${together}::int = 0`;
  return [
    sql`insert into users (email, first_name, last_name) select number || '@example.com', 'Test', number::text from ${numbers}`,
    sql`insert into circles (name) select 'Family' from ${talks}`,
    sql`insert into conversations (circle_id, name) select number, 'Talk' from ${talks}`,
    sql`insert into memberships (circle_id, user_id, role)
      select ${talk}, number, case when ${admin} then 'ADMIN' else 'MEMBER' end from ${numbers}`,
    sql`insert into participants (conversation_id, user_id, role)
      select ${talk}, number, case when ${admin} then 'ADMIN' else 'STANDARD' end from ${numbers}`,
    sql`insert into topics (topic) select 'user:' || number from ${numbers}`,
    sql`insert into topics (topic)
      select kind || number from ${talks}, unnest(array['circle:', 'conversation:']) as kind`,
    sql`analyze`,
  ];
};

/** Fills an empty database, and answers the accounts with tokens that a server with this secret accepts. */
export async function writeCrowd(
  options: CrowdOptions,
  at: DatabaseOptions,
  secret: string,
): Promise<readonly Member[]> {
  await using database = await openDatabase(at, createLogger('warn'));
  for (const statement of statements(options)) await statement.execute(database.db);
  const tokens = createTokens({ secret });
  return await Promise.all(
    Array.from({ length: options.accounts }, async (_, index) => ({
      token: (await tokens.issue({ kind: 'user', id: (index + 1) as UserId })).token,
      conversation: `Conversation:${Math.floor(index / options.together) + 1}`,
    })),
  );
}

export interface CrowdedServer extends AsyncDisposable {
  readonly server: Server;
  readonly members: readonly Member[];
}

/** Starts a server whose database has the crowd: on PostgreSQL at an address, else on an embedded one of its own. */
export async function startCrowdedServer(
  crowd: CrowdOptions,
  postgres?: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<CrowdedServer> {
  await using stack = new AsyncDisposableStack();
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-bench-'));
  stack.defer(() => rm(dataDir, { recursive: true, force: true }));
  const secret = await loadOrCreateSecret(dataDir);
  const members = await writeCrowd(
    crowd,
    postgres === undefined ? { kind: 'pglite', dir: dataDir } : { kind: 'postgres', url: postgres },
    secret,
  );
  const server = stack.use(
    await startServer(dataDir, {
      ...settings,
      ...(postgres === undefined ? {} : { DATABASE_URL: postgres, AUTH_SECRET: secret }),
    }),
  );
  const owned = stack.move();
  return { server, members, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
