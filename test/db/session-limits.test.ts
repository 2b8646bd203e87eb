import { sql } from 'kysely';
import { describe, expect, inject, test, vi } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import type { Database, DatabaseOptions, Db } from '../../src/db/database.ts';
import { createTopics, lockTopics } from '../../src/db/event-log.ts';
import { isOutage } from '../../src/errors.ts';
import { createLogger } from '../../src/log.ts';
import { openTestDatabase } from '../harness/database.ts';
import { lockRows } from '../harness/lock-rows.ts';
import { indexes } from '../harness/numbers.ts';
import { openTcpProxy } from '../harness/tcp-proxy.ts';

const log = createLogger('silent');
const SLEEP = sql`select pg_sleep(600)`;

type Overrides = Partial<Extract<DatabaseOptions, { kind: 'postgres' }>>;

/** Opens another node's connections to the worker's database, which is emptied. */
async function openNode(overrides: Overrides): Promise<{ readonly database: Database; readonly admin: Db }> {
  const { url = '', db: admin } = await openTestDatabase();
  return { admin, database: await openDatabase({ kind: 'postgres', url, ...overrides }, log) };
}

async function countSleeping(admin: Db): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from pg_stat_activity
    where datname = current_database() and state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()
  `.execute(admin);
  return rows[0]?.count ?? 0;
}

const readError = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

describe.skipIf(inject('database') !== 'postgres')('a session of a node', () => {
  test('ends a wait for a lock as an outage, and can be used again', async () => {
    const { admin, database } = await openNode({ limits: { lock_timeout: '200ms' } });
    await using _database = database;
    await admin.transaction().execute((tx) => createTopics(tx, ['circle:1']));
    // Not a session of a node: one that is idle would be ended as frozen.
    await using holder = await lockRows(database.url ?? '', 'select 1 from topics for update');
    for (const _ of indexes(30)) {
      const attempt = database.db.transaction().execute((tx) => lockTopics(tx, ['circle:1']));
      const error = await readError(attempt);
      expect(error).toMatchObject({ code: '55P03' });
      expect(isOutage(error)).toBe(true);
    }
    await holder.release();
    await database.db.transaction().execute((tx) => lockTopics(tx, ['circle:1']));
  });

  test('ends a statement that takes too long, as an outage', async () => {
    const { admin, database } = await openNode({ limits: { statement_timeout: '200ms' } });
    await using _database = database;
    const error = await readError(SLEEP.execute(database.db));
    expect(error).toMatchObject({ code: '57014' });
    expect(isOutage(error)).toBe(true);
    // The server sends the error shortly before it shows the session as idle.
    await vi.waitFor(async () => expect(await countSleeping(admin)).toBe(0), { timeout: 10_000 });
  });

  test('ends when its node gives up a statement that the server does not limit', async () => {
    const { admin, database } = await openNode({
      limits: { statement_timeout: '0', client_connection_check_interval: '0' },
      inactivityTimeoutMs: 500,
    });
    await using _database = database;
    const errors = await Promise.all(indexes(10).map(() => readError(SLEEP.execute(database.db))));
    for (const error of errors) expect(isOutage(error)).toBe(true);
    await vi.waitFor(async () => expect(await countSleeping(admin)).toBe(0), { timeout: 10_000 });
  });

  test('ends when its node is disconnected and does not send the next statement', async () => {
    const { url = '', db: admin } = await openTestDatabase();
    await using network = await openTcpProxy(Number(new URL(url).port));
    const proxied = new URL(url);
    proxied.port = String(network.port);
    const limits = { idle_in_transaction_session_timeout: '500ms' };
    await using database = await openDatabase({ kind: 'postgres', url: proxied.href, limits }, log);
    await admin.transaction().execute((tx) => createTopics(tx, ['circle:1']));
    const locked = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    const transaction = database.db.transaction().execute(async (tx) => {
      await lockTopics(tx, ['circle:1']);
      locked.resolve();
      await gone.promise;
      await sql`select 1`.execute(tx);
    });
    await locked.promise;
    network.mute();
    await admin.transaction().execute((tx) => lockTopics(tx, ['circle:1']));
    network.disconnectAll();
    gone.resolve();
    expect(isOutage(await readError(transaction))).toBe(true);
  });

  test('does not delay the heartbeat and readiness while all connections are busy', async () => {
    const { database } = await openNode({ poolSize: 2 });
    await using _database = database;
    const started = indexes(2).map(() => Promise.withResolvers<void>());
    const done = Promise.withResolvers<void>();
    const transactions = started.map(({ resolve }) =>
      database.db.transaction().execute(async (tx) => {
        await sql`select 1`.execute(tx);
        resolve();
        await done.promise;
      }),
    );
    await Promise.all(started.map(({ promise }) => promise));
    await Promise.all(indexes(100).map(() => database.ping()));
    await sql`select 1`.execute(database.control);
    done.resolve();
    await Promise.all(transactions);
  });

  test('works with a server that refuses a limit', async () => {
    const { database } = await openNode({ limits: { tcp_user_timeout: 'not a time' } });
    await using _database = database;
    const { rows } = await sql`select current_setting('lock_timeout') as limit`.execute(database.db);
    expect(rows).toEqual([{ limit: '5s' }]);
  });
});
