import { sql } from 'kysely';
import pg from 'pg';
import { expect, inject, test } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import type { Db } from '../../src/db/database.ts';
import { daysBeforeNow, readAfter, readRange } from '../../src/db/event-log.ts';
import {
  createPartitions,
  deleteStrayEvents,
  dropPartitions,
  findRetentionLag,
} from '../../src/db/log-partitions.ts';
import { createLogger } from '../../src/log.ts';
import { createOwnPostgres } from '../harness/database.ts';
import { createTestCore, emitEvents, TOPIC } from '../harness/event-core.ts';
import type { Core } from '../harness/event-core.ts';
import { range } from '../harness/numbers.ts';

const DAYS = 7;

/** Returns the tables that hold the topic's events, with their positions. */
async function readTables(db: Db): Promise<Readonly<Record<string, readonly number[]>>> {
  const { rows } = await sql<{ name: string; seqs: number[] }>`
    select tableoid::regclass::text as name, array_agg(seq::int order by seq) as seqs from events
    where topic = ${TOPIC} group by tableoid
  `.execute(db);
  return Object.fromEntries(rows.map(({ name, seqs }) => [name, seqs]));
}

async function listTables(db: Db): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select inhrelid::regclass::text as name from pg_inherits
    where inhparent = 'events'::regclass order by name
  `.execute(db);
  return rows.map(({ name }) => name);
}

/** Drops all partitions but the default one, which the tests of a worker share. */
async function dropAll({ db }: Core): Promise<void> {
  await dropPartitions(db, '2200-01-01T00:00:00.000Z');
  expect(await listTables(db)).toEqual(['events_default']);
}

test('events are stored in the partition of their time, which is dropped as a whole', async () => {
  const core = await createTestCore();
  const { db } = core;
  await dropAll(core);
  expect(await createPartitions(db, DAYS)).toBeUndefined();
  const [present, next, ...others] = await listTables(db).then((names) =>
    names.filter((name) => name !== 'events_default'),
  );
  expect(others).toEqual([]);
  await emitEvents(core, ...range(1, 20));
  expect(await readTables(db)).toEqual({ [present ?? '']: range(1, 20) });
  expect(await createPartitions(db, DAYS)).toBeUndefined();
  expect(await listTables(db)).toEqual([present, next, 'events_default']);

  expect(await findRetentionLag(db, DAYS)).toBe(0);
  expect(await findRetentionLag(db, -DAYS / 2)).toBeGreaterThan(0);
  expect(await findRetentionLag(db, -DAYS / 2)).toBeLessThan((DAYS / 2) * 86_400_000);
  expect(await dropPartitions(db, await daysBeforeNow(db, DAYS))).toBe(0);
  // The present period ends before the next one does.
  expect(await dropPartitions(db, await daysBeforeNow(db, -DAYS / 2))).toBeGreaterThan(0);
  expect(await readRange(db, TOPIC)).toEqual({ head: 20, trimmed: 20 });
  await emitEvents(core, 21);
  expect(await readTables(db)).toEqual({ events_default: [21] });
  expect(await readAfter(db, TOPIC, 3, 10)).toMatchObject({
    range: { head: 21, trimmed: 20 },
    entries: [{ seq: 21 }],
  });
});

test('a period with events in the default partition gets no partition, and the next one does', async () => {
  const core = await createTestCore();
  const { db } = core;
  await dropAll(core);
  await emitEvents(core, 1);
  expect(await createPartitions(db, DAYS)).toBeUndefined();
  expect(await listTables(db)).toHaveLength(2);
  await emitEvents(core, 2);
  expect(await readTables(db)).toEqual({ events_default: [1, 2] });
  await dropAll(core);
});

test.runIf(inject('database') === 'postgres')(
  'a large default partition is not read under a lock: no partition is created, and events are stored in it',
  async () => {
    const core = await createTestCore();
    const { db } = core;
    await dropAll(core);
    await sql`
    insert into events (topic, seq, event, at)
    select 'old', seq, to_json(repeat('x', 1800)), '2020-01-01' from generate_series(1, 40000) as seq
  `.execute(db);
    try {
      expect(await createPartitions(db, DAYS)).toBe('large default partition');
      expect(await listTables(db)).toEqual(['events_default']);
      await emitEvents(core, 1);
      expect(await readTables(db)).toEqual({ events_default: [1] });
    } finally {
      await sql`truncate events_default`.execute(db);
    }
    expect(await createPartitions(db, DAYS)).toBeUndefined();
    expect(await listTables(db)).toHaveLength(3);
  },
);

test('a partition far ahead, from a wrong clock, does not prevent those of the present', async () => {
  const core = await createTestCore();
  const { db } = core;
  await dropAll(core);
  await sql`
    create table events_far partition of events for values from (1, '2100-01-01') to (1, '2100-01-02')
  `.execute(db);
  expect(await createPartitions(db, DAYS)).toBeUndefined();
  await emitEvents(core, 1);
  expect(await readTables(db)).not.toHaveProperty('events_default');
  expect(await createPartitions(db, DAYS)).toBeUndefined();
  expect(await listTables(db)).toHaveLength(4);
  await dropAll(core);
});

test('old events without a partition of their time are deleted in batches', async () => {
  const core = await createTestCore();
  const { db } = core;
  await createPartitions(db, DAYS);
  await emitEvents(core, ...range(1, 10));
  await sql`update events set at = at - interval '8 days' where seq <= 5`.execute(db);
  const before = await daysBeforeNow(db, DAYS);
  expect([await deleteStrayEvents(db, before, 3), await deleteStrayEvents(db, before, 3)]).toEqual([3, 2]);
  expect(await deleteStrayEvents(db, before, 3)).toBe(0);
  expect(await readRange(db, TOPIC)).toEqual({ head: 10, trimmed: 5 });
});

test('a hole in the middle of a log is a removal, too', async () => {
  const core = await createTestCore();
  await emitEvents(core, ...range(1, 10));
  await sql`delete from events where seq between 4 and 6`.execute(core.db);
  const read = async (after: number) => {
    const page = await readAfter(core.db, TOPIC, after, 10);
    return { trimmed: page?.range.trimmed, seqs: page?.entries.map(({ seq }) => seq) };
  };
  expect(await read(0)).toEqual({ trimmed: 0, seqs: [1, 2, 3] });
  expect(await read(3)).toEqual({ trimmed: 6, seqs: [7, 8, 9, 10] });
});

test.runIf(inject('database') === 'postgres')(
  'a lock on the log postpones changes of partitions, and delays writers briefly',
  async () => {
    const core = await createTestCore();
    const { db } = core;
    await dropAll(core);
    await createPartitions(db, DAYS);
    const held = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    const holder = db.transaction().execute(async (tx) => {
      await sql`select count(*) from events`.execute(tx);
      held.resolve();
      await released.promise;
    });
    await held.promise;
    const dropping = dropPartitions(db, '2200-01-01T00:00:00.000Z');
    // Waits for the attempt to drop at most as long as that waits for the lock.
    await emitEvents(core, ...range(1, 5));
    expect(await dropping).toBe(0);
    released.resolve();
    await holder;
    expect(await dropPartitions(db, '2200-01-01T00:00:00.000Z')).toBe(2);
  },
);

test.runIf(inject('database') === 'postgres')(
  'a statement that is cancelled by its time-out postpones changes of partitions',
  async () => {
    const url = await createOwnPostgres();
    const options = { kind: 'postgres', url, limits: { statement_timeout: '100ms' } } as const;
    await using database = await openDatabase(options, createLogger('silent'));
    const { db } = database;
    await createPartitions(db, DAYS);
    // Of another program, whose sessions are not ended.
    const holder = new pg.Client({ connectionString: url });
    await holder.connect();
    await holder.query("select pg_advisory_lock(hashtext('parley partitions'))");
    expect(await createPartitions(db, DAYS)).toBe('locked');
    expect(await dropPartitions(db, '2200-01-01T00:00:00.000Z')).toBe(0);
    await holder.end();
    await expect.poll(() => dropPartitions(db, '2200-01-01T00:00:00.000Z')).toBe(2);
  },
);
