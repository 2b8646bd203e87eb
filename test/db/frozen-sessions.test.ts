import { sql } from 'kysely';
import { expect, inject, test, vi } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import type { Db } from '../../src/db/database.ts';
import { createTopics, lockTopics } from '../../src/db/event-log.ts';
import { createLogger } from '../../src/log.ts';
import { openTestDatabase } from '../harness/database.ts';
import { lockRows } from '../harness/lock-rows.ts';

/** Returns how many sessions have been idle in a transaction for longer than a node that runs. */
async function countIdle(db: Db): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from pg_stat_activity
    where datname = current_database() and state = 'idle in transaction' and application_name like 'parley %'
      and state_change < clock_timestamp() - interval '3 seconds'
  `.execute(db);
  return rows[0]?.count ?? 0;
}

test.skipIf(inject('database') !== 'postgres')(
  'one node at a time ends sessions of a frozen one',
  async () => {
    const { url = '', db: frozen, control } = await openTestDatabase();
    const limits = { lock_timeout: '0' };
    await using database = await openDatabase({ kind: 'postgres', url, limits }, createLogger('silent'));
    await frozen.transaction().execute((tx) => createTopics(tx, ['circle:1']));
    await using otherNode = await lockRows(
      url,
      `select pg_advisory_xact_lock(hashtext('parley frozen sessions'))`,
    );
    const locked = Promise.withResolvers<void>();
    const thawed = Promise.withResolvers<void>();
    const transaction = frozen.transaction().execute(async (tx) => {
      await lockTopics(tx, ['circle:1']);
      locked.resolve();
      await thawed.promise;
      await sql`select 1`.execute(tx);
    });
    await locked.promise;
    const waiting = database.db.transaction().execute((tx) => lockTopics(tx, ['circle:1']));
    await vi.waitFor(async () => expect(await countIdle(control)).toBe(1), { timeout: 8_000 });
    await otherNode.release();
    await waiting;
    thawed.resolve();
    await expect(transaction).rejects.toThrow();
  },
);
