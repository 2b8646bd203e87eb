import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import pg from 'pg';
import { describe, expect, inject, test, vi } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import type { Db } from '../../src/db/database.ts';
import { renewEpochOfRestore, renewEpochOnce, readEpoch } from '../../src/db/epoch.ts';
import { createEventLog } from '../../src/db/event-log.ts';
import { createLogger } from '../../src/log.ts';
import { openTestDatabase } from '../harness/database.ts';
import { startPostgres } from '../harness/postgres.ts';

const silent = createLogger('silent');

const appendEvent = (db: Db, seq: number) =>
  sql`
    with advanced as (
      insert into topics (topic, head) values ('topic', ${seq})
      on conflict (topic) do update set head = excluded.head
    )
    insert into events (topic, seq, event, at) values ('topic', ${seq}, '{}', now())
  `.execute(db);

test('the epoch is renewed once when the origin of the database changes', async () => {
  const { db } = await openTestDatabase();
  const first = await renewEpochOfRestore(db, 'first');
  expect(await renewEpochOfRestore(db, 'first')).toBe(first);
  expect(await renewEpochOfRestore(db, undefined)).toBe(first);
  const second = await renewEpochOfRestore(db, 'second');
  expect(second).not.toBe(first);
  expect(second).toHaveLength(first.length);
  expect(await renewEpochOfRestore(db, 'second')).toBe(second);
  expect(await readEpoch(db)).toBe(second);
});

test('of several nodes that detect a restore, one renews the epoch', async () => {
  const { db } = await openTestDatabase();
  const known = await readEpoch(db);
  const epochs = await Promise.all([renewEpochOnce(db, known), renewEpochOnce(db, known)]);
  expect(new Set([...epochs, known]).size).toBe(2);
});

describe.runIf(inject('database') === 'pglite')('an embedded database', () => {
  test('has the same epoch after a restart, and another one in a copy of its folder', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'parley-test-'));
    try {
      const open = async (dir: string) => {
        await using database = await openDatabase({ kind: 'pglite', dir: join(folder, dir) }, silent);
        return database.epoch;
      };
      const epoch = await open('data');
      expect(await open('data')).toBe(epoch);
      await cp(join(folder, 'data'), join(folder, 'backup'), { recursive: true, preserveTimestamps: true });
      await rm(join(folder, 'data'), { recursive: true });
      await cp(join(folder, 'backup'), join(folder, 'data'), { recursive: true, preserveTimestamps: true });
      const restored = await open('data');
      expect(restored).not.toBe(epoch);
      expect(await open('data')).toBe(restored);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe.runIf(inject('database') === 'postgres')('a PostgreSQL server', () => {
  test('keeps its epoch over a restart; a node sees that an earlier state of its files was restored', async () => {
    await using server = await startPostgres();
    await using database = await openDatabase({ kind: 'postgres', url: server.url }, silent);
    const { db } = database;
    const log = createEventLog(db);
    await appendEvent(db, 1);
    const first = await log.readChanges(undefined);
    await appendEvent(db, 2);
    // As in a dump of another server.
    await sql`update events set xid = '999999999' where seq = 1`.execute(db);
    const { snapshot, epoch } = await log.readChanges(first.snapshot);
    expect(first.snapshot.lastAppend).toMatchObject({ seq: 1 });
    expect(snapshot.lastAppend).toMatchObject({ seq: 2 });
    await server.restart();
    await expect.poll(() => log.readChanges(snapshot).catch(() => undefined)).toMatchObject({ epoch });
    const append = snapshot.lastAppend ?? expect.unreachable();
    expect(await log.renewEpochIfLost(epoch, [append])).toBe(epoch);
    const lost = {
      'no transaction has its id yet': { ...append, transaction: '999999999' },
      'the log has not reached its position again': { ...append, seq: 3 },
      'another event is at its position': { ...append, transaction: '3' },
    };
    let known = epoch;
    for (const [name, lostAppend] of Object.entries(lost)) {
      const renewed = await log.renewEpochIfLost(known, [append, lostAppend]);
      expect(renewed, name).not.toBe(known);
      // Another node, which knows the former epoch, too.
      expect(await log.renewEpochIfLost(known, [lostAppend]), name).toBe(renewed);
      known = renewed;
    }
    expect(await log.renewEpochIfLost(known, [{ ...append, topic: 'a deleted one' }])).toBe(known);
  });

  test('keeps its epoch over a crash, which assigns the ids of transactions that were not committed again', async () => {
    await using server = await startPostgres();
    await using database = await openDatabase({ kind: 'postgres', url: server.url }, silent);
    const { db } = database;
    const log = createEventLog(db);
    const isUp = () =>
      log.readChanges(undefined).then(
        () => true,
        () => false,
      );
    // What is not committed is not flushed until the crash.
    await sql`alter system set wal_writer_delay = '10s'`.execute(db);
    await server.restart();
    await expect.poll(isUp).toBe(true);
    await appendEvent(db, 1);
    await sql`
      do $$ begin
        for number in 1..100 loop
          begin
            insert into log_trims (topic) values ('topic');
            raise exception 'rolled back';
          exception when others then null;
          end;
        end loop;
        raise exception 'rolled back';
      end $$
    `
      .execute(db)
      .catch(() => undefined);
    const { snapshot, epoch } = await log.readChanges(undefined);
    await server.restart('immediate');
    await expect.poll(isUp).toBe(true);
    const append = snapshot.lastAppend ?? expect.unreachable();
    expect(await log.renewEpochIfLost(epoch, [append])).toBe(epoch);
  });

  test('that does not tell its identity is used, with a warning', async () => {
    await using server = await startPostgres();
    const admin = new pg.Client({ connectionString: server.url });
    await admin.connect();
    try {
      await admin.query(`
        create schema hosted;
        create function hosted.pg_control_system(out system_identifier bigint) language plpgsql as $$ begin
          raise exception 'not available on this service' using errcode = 'P0001';
        end $$;
        alter database postgres set search_path = public, hosted, pg_catalog
      `);
    } finally {
      await admin.end();
    }
    const log = createLogger('silent');
    const warn = vi.spyOn(log, 'warn');
    await using database = await openDatabase({ kind: 'postgres', url: server.url }, log);
    expect(warn.mock.calls.map(([, text]) => text)).toEqual([
      expect.stringContaining('does not tell its identity'),
    ]);
    expect(await createEventLog(database.db).renewEpochIfLost(database.epoch, [])).toBe(database.epoch);
  });

  test('has another epoch in a copy of a database', async () => {
    await using server = await startPostgres();
    const urlOf = (name: string) => new URL(name, server.url).href;
    const open = (name: string) => openDatabase({ kind: 'postgres', url: urlOf(name) }, silent);
    const admin = new pg.Client({ connectionString: server.url });
    await admin.connect();
    try {
      await admin.query('create database original');
      const readEpochOf = async (name: string) => {
        await using database = await open(name);
        return database.epoch;
      };
      const epoch = await readEpochOf('original');
      expect(await readEpochOf('original')).toBe(epoch);
      await admin.query('create database restored template original');
      const restored = await readEpochOf('restored');
      expect(restored).not.toBe(epoch);
      expect(await readEpochOf('restored')).toBe(restored);
    } finally {
      await admin.end();
    }
  });
});
