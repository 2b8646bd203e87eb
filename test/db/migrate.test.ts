import { sql } from 'kysely';
import pg from 'pg';
import { describe, expect, inject, onTestFinished, test, vi } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import type { Db } from '../../src/db/database.ts';
import { MIGRATIONS, migrate } from '../../src/db/migrate.ts';
import type { Migration } from '../../src/db/migrate.ts';
import { countUnread } from '../../src/db/read-state.ts';
import type { ConversationId, UserId } from '../../src/ids.ts';
import { StartError } from '../../src/lib/startup-error.ts';
import { createLogger } from '../../src/log.ts';
import { createGateway } from '../../src/testing/index.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { createOwnPostgres, openOwnEmbedded } from '../harness/database.ts';
import { indexes } from '../harness/numbers.ts';

const log = createLogger('silent');

/** Opens a database that no other test uses. */
async function openOwnDatabase() {
  const database =
    inject('database') === 'postgres'
      ? await openDatabase({ kind: 'postgres', url: await createOwnPostgres() }, log)
      : await openOwnEmbedded();
  onTestFinished(() => database[Symbol.asyncDispose]());
  return database;
}

const run = (...statements: readonly string[]): Migration => ({
  async up(db) {
    for (const statement of statements) await sql.raw(statement).execute(db);
  },
});

/** What a later release may add: tables, columns with defaults or null, indexes, and events of a new type. */
const LATER = {
  '9000-later': run(
    'alter table users add column nickname text, add column score int not null default 0',
    'alter table messages add column pinned_at timestamptz',
    'create table reactions (id int generated always as identity primary key, message_id int references messages on delete cascade)',
    'create index messages_pinned on messages (pinned_at) where pinned_at is not null',
    "insert into settings values ('later', 'yes')",
  ),
};

const readNames = async (db: Db): Promise<string[]> => {
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
  return rows.map(({ name }) => name);
};

test('a release starts and runs on the database of a newer one', async () => {
  const database = await openOwnDatabase();
  await migrate(database.db, { log, migrations: { ...MIGRATIONS, ...LATER } });
  expect(await readNames(database.db)).toContain('9000-later');

  await migrate(database.db, { log });
  await using app = await createGateway({ database });
  const { ann, bob, conversation } = await createAnnAndBob(app);
  await using events = await bob.subscribeToConversation(conversation.id);
  await sendMessage(ann, conversation, 'hello');
  expect(await events.next()).toMatchObject({ message: { text: 'hello' } });
  expect(await readNames(database.db)).toContain('9000-later');
});

test('a release does not start on a database that needs a newer one', async () => {
  const { db } = await openOwnDatabase();
  const contracted = {
    ...MIGRATIONS,
    ...LATER,
    '9001-contract': { ...run('alter table users drop column score'), requires: '9000-later' },
  };
  await migrate(db, { log, migrations: contracted });
  await migrate(db, { log, migrations: { ...MIGRATIONS, ...LATER } });
  const start = migrate(db, { log });
  await expect(start).rejects.toThrow(StartError);
  await expect(start).rejects.toThrow('it lacks migration 9000-later');
});

test('a release does not run its own migrations after those of another one', async () => {
  const { db } = await openOwnDatabase();
  await migrate(db, { log, migrations: { ...MIGRATIONS, ...LATER } });
  const start = migrate(db, { log, migrations: { ...MIGRATIONS, '8000-other': run('select 1') } });
  await expect(start).rejects.toThrow('does not know (9000-later), and lacks 8000-other');
});

test('a migration that fails changes nothing', async () => {
  const { db } = await openOwnDatabase();
  const failing = run('create table half ()', 'select 1 / 0');
  await expect(
    migrate(db, { log, migrations: { ...MIGRATIONS, ...LATER, '9001-fails': failing } }),
  ).rejects.toThrow('division by zero');
  expect(await readNames(db)).toEqual([...Object.keys(MIGRATIONS), '9000-later']);
  const { rows } = await sql`select to_regclass('half') as half`.execute(db);
  expect(rows).toEqual([{ half: null }]);
});

test('messages from before the migration count as read, and participants of the former release start as those of this one', async () => {
  const { db } = await openOwnDatabase();
  const revert = run(
    'drop function start_reading() cascade',
    'drop function start_device_reading() cascade',
    'alter table participants drop column last_read_id, drop column last_read_at',
    'alter table conversations drop column device_last_read_id, drop column device_last_read_at',
    `delete from kysely_migration where name = '0016-read-state'`,
  );
  await revert.up(db);
  const insert = run(
    `insert into users (email, first_name, last_name) values ('ann@example.com', '', ''), ('bob@example.com', '', '')`,
    `insert into circles (name) values ('Family')`,
    `insert into conversations (circle_id, name) values (1, 'Talk')`,
    `insert into participants (conversation_id, user_id, role) values (1, 1, 'ADMIN')`,
  );
  const send = run(`insert into messages (conversation_id, author_user_id, text, status, media_count)
    values (1, null, 'hello', 'DONE', 0)`);
  await insert.up(db);
  await send.up(db);
  await migrate(db, { log });
  const countFor = (id: number) => countUnread(db, { kind: 'user', id: id as UserId }, [1 as ConversationId]);
  expect(await countFor(1)).toEqual([{ conversationId: 1, unreadCount: 0 }]);
  await send.up(db);
  await run(`insert into participants (conversation_id, user_id, role) values (1, 2, 'STANDARD')`).up(db);
  expect(await countFor(1)).toEqual([{ conversationId: 1, unreadCount: 1 }]);
  expect(await countFor(2)).toEqual([{ conversationId: 1, unreadCount: 0 }]);
});

test('nodes of the former release create conversations without read receipts, and add participants who have read privately', async () => {
  const { db } = await openOwnDatabase();
  await run(
    `insert into users (email, first_name, last_name) values ('ann@example.com', '', '')`,
    `insert into circles (name) values ('Family')`,
    `insert into conversations (circle_id, name) values (1, 'Talk')`,
    `insert into messages (conversation_id, author_user_id, text, status, media_count) values (1, null, 'hello', 'DONE', 0)`,
    `insert into participants (conversation_id, user_id, role) values (1, 1, 'ADMIN')`,
    `update conversations set device_access = true`,
  ).up(db);
  const { rows } = await sql`
    select read_receipts, last_read_id, private_read_id, device_last_read_id, device_private_read_id
    from conversations join participants on conversation_id = conversations.id
  `.execute(db);
  const positions = { lastReadId: 1, privateReadId: 1, deviceLastReadId: 1, devicePrivateReadId: 1 };
  expect(rows).toEqual([{ readReceipts: false, ...positions }]);
});

describe.skipIf(inject('database') !== 'postgres')('on PostgreSQL', () => {
  test('nodes that start concurrently run each migration once', async () => {
    const url = await createOwnPostgres();
    const databases = await Promise.all(indexes(5).map(() => openDatabase({ kind: 'postgres', url }, log)));
    for (const database of databases) onTestFinished(() => database[Symbol.asyncDispose]());
    expect(new Set(databases.map(({ epoch }) => epoch)).size).toBe(1);
    for (const { db } of databases) expect(await readNames(db)).toEqual(Object.keys(MIGRATIONS));
  });

  test('a migration that waits for a long transaction does not hold up others, and is retried', async () => {
    const { db, url } = await openOwnDatabase();
    const report = new pg.Client({ connectionString: url, application_name: 'report' });
    await report.connect();
    onTestFinished(() => report.end());
    await report.query('begin');
    await report.query('select count(*) from users');

    const migrations = { ...MIGRATIONS, ...LATER };
    await expect(migrate(db, { log, migrations, maxWaitMs: 0 })).rejects.toThrow(
      /^Migration 9000-later waits for a lock: process \d+ of the database \(report\) has had/,
    );
    const warn = vi.spyOn(log, 'warn');
    onTestFinished(() => warn.mockRestore());
    const migration = migrate(db, { log, migrations });
    await vi.waitFor(() => expect(warn).toHaveBeenCalledWith(expect.anything(), 'migration waits: locked'), {
      timeout: 10_000,
    });
    // Behind a statement that waits for the table, this would wait for the report.
    await sql`select count(*) from users`.execute(db);
    expect(await readNames(db)).not.toContain('9000-later');
    await report.query('commit');
    await migration;
    expect(await readNames(db)).toContain('9000-later');
  });
});
