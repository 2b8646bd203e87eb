import { sql } from 'kysely';
import { describe, expect, inject, test, vi } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import type { Db } from '../../src/db/database.ts';
import { createTopics, lockTopics } from '../../src/db/event-log.ts';
import { cancelHarmfulWaits } from '../../src/db/foreign-locks.ts';
import { isCancelled } from '../../src/errors.ts';
import { createLogger } from '../../src/log.ts';
import { openTestDatabase } from '../harness/database.ts';
import { countLockWaits, lockRows } from '../harness/lock-rows.ts';
import { indexes } from '../harness/numbers.ts';

const LOCK_SETTING = `select 1 from settings where name = 'epoch' for update`;

async function openNode(poolSize: number) {
  const { url = '', db: admin } = await openTestDatabase();
  const database = await openDatabase({ kind: 'postgres', url, poolSize }, createLogger('silent'));
  return { url, admin, database };
}

const lockSetting = (db: Db) => sql.raw(LOCK_SETTING).execute(db);

/** Returns how many sessions have waited for a lock for as long as a harmful wait may take. */
async function countLongWaits(db: Db): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'
      and query_start < clock_timestamp() - interval '500 milliseconds'
  `.execute(db);
  return rows[0]?.count ?? 0;
}

/** Resolves with whether the work was cancelled. */
const wasCancelled = (work: Promise<unknown>): Promise<boolean> =>
  work.then(
    () => false,
    (error: unknown) => {
      if (isCancelled(error)) return true;
      throw error;
    },
  );

describe.skipIf(inject('database') !== 'postgres')('while another program holds a lock', () => {
  test('waits for it leave half of the connections, and others continue', async () => {
    const { url, database } = await openNode(4);
    await using _database = database;
    await using lock = await lockRows(url, LOCK_SETTING);
    const ended: number[] = [];
    const waits = indexes(4).map((index) =>
      wasCancelled(lockSetting(database.db)).finally(() => ended.push(index)),
    );
    await vi.waitFor(() => expect(ended).toHaveLength(2), { timeout: 4_000 });
    await sql`select 1`.execute(database.db);
    await lock.release();
    expect((await Promise.all(waits)).filter(Boolean)).toHaveLength(2);
  });

  test('a transaction that has locked a topic does not wait for it', async () => {
    const { url, admin, database } = await openNode(4);
    await using _database = database;
    await admin.transaction().execute((tx) => createTopics(tx, ['circle:1']));
    await using lock = await lockRows(url, LOCK_SETTING);
    const wait = wasCancelled(lockSetting(database.db));
    const transaction = database.db.transaction().execute(async (tx) => {
      await lockTopics(tx, ['circle:1']);
      await lockSetting(tx);
    });
    expect(await wasCancelled(transaction)).toBe(true);
    await lock.release();
    expect(await wait).toBe(false);
  });

  test('waits for locks of nodes, and for those of topics, continue', async () => {
    const { url, admin, database } = await openNode(4);
    await using _database = database;
    await admin.transaction().execute((tx) => createTopics(tx, ['circle:1', 'circle:2']));
    await using lock = await lockRows(url, `select 1 from topics where topic = 'circle:2' for update`);
    const wait = wasCancelled(
      database.db.transaction().execute(async (tx) => {
        await lockTopics(tx, ['circle:1', 'circle:2']);
      }),
    );
    await vi.waitFor(async () => expect(await countLockWaits(admin)).toBe(1));
    const follower = wasCancelled(database.db.transaction().execute((tx) => lockTopics(tx, ['circle:1'])));
    await vi.waitFor(async () => expect(await countLongWaits(admin)).toBe(2), { timeout: 4_000 });
    expect(await cancelHarmfulWaits(database.control, 2)).toBe(0);
    await lock.release();
    expect(await Promise.all([wait, follower])).toEqual([false, false]);
  });
});
