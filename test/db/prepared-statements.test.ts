import { sql } from 'kysely';
import { afterEach, expect, inject, test } from 'vitest';
import * as circles from '../../src/db/circles.ts';
import * as conversations from '../../src/db/conversations.ts';
import { findAccessibleConversations } from '../../src/db/conversation-access.ts';
import { openDatabase } from '../../src/db/database.ts';
import type { Database, Db } from '../../src/db/database.ts';
import * as heldInvitations from '../../src/db/held-invitations.ts';
import * as media from '../../src/db/media.ts';
import * as messages from '../../src/db/messages.ts';
import { createLogger } from '../../src/log.ts';
import type { CircleId, ConversationId, MediaId, MessageId } from '../../src/ids.ts';
import { openOwnEmbedded, openTestDatabase } from '../harness/database.ts';

/** Opens a database without prepared statements: on PostgreSQL, over new connections to the worker's database. */
async function openNewDatabase(): Promise<Database> {
  const { url } = await openTestDatabase();
  return url === undefined
    ? openOwnEmbedded()
    : openDatabase({ kind: 'postgres', url }, createLogger('silent'));
}

/** Returns the prepared statements of the connection, and how often each was executed. */
async function readPreparedStatements(db: Db): Promise<{ statement: string; runs: number }[]> {
  const { rows } = await sql<{ statement: string; runs: number }>`
    select statement, generic_plans + custom_plans as runs from pg_prepared_statements
  `.execute(db);
  return rows;
}

const reverts: string[] = [];

/** Alters a table of the worker's database as a newer node would, until the end of the test. */
async function alterTable(db: Db, table: string, change: string, revert: string): Promise<void> {
  await sql`alter table ${sql.table(table)} ${sql.raw(change)}`.execute(db);
  reverts.push(`alter table ${table} ${revert}`);
}

afterEach(async () => {
  const { db } = await openTestDatabase();
  for (const statement of reverts.splice(0))
    await sql
      .raw(statement)
      .execute(db)
      .catch(() => undefined);
});

test('a statement is prepared once for each connection', async () => {
  await using database = await openNewDatabase();
  await database.db.transaction().execute(async (tx) => {
    await circles.findByIds(tx, [1 as CircleId]);
    await circles.findByIds(tx, [2, 3] as CircleId[]);
    const prepared = await readPreparedStatements(tx);
    expect(prepared.filter(({ statement }) => statement.includes('from "circles"'))).toMatchObject([
      { runs: 2 },
    ]);
  });
});

test.skipIf(inject('database') !== 'pglite')(
  'the embedded database does not reuse a plan from when a table was small',
  async () => {
    await using database = await openNewDatabase();
    const { db } = database;
    for (let index = 0; index < 10; index += 1) await circles.findMembership(db, 1 as never);
    const { rows } = await sql`
      select sum(generic_plans)::int as count from pg_prepared_statements
    `.execute(db);
    expect(rows).toEqual([{ count: 0 }]);
  },
);

test('a connection keeps at most 500 prepared statements, and none with a list of parameters', async () => {
  await using database = await openNewDatabase();
  await database.db.transaction().execute(async (tx) => {
    const before = await readPreparedStatements(tx);
    const list = sql.join(Array.from({ length: 33 }, (_, index) => sql`${index}::int`));
    await sql`select ${list}`.execute(tx);
    expect(await readPreparedStatements(tx)).toEqual(before);
    for (let index = 0; index < 510; index += 1) {
      const { rows } = await sql`select ${index}::int as ${sql.ref(`n${index}`)}`.execute(tx);
      expect(rows).toEqual([{ [`n${index}`]: index }]);
    }
    expect(await readPreparedStatements(tx)).toHaveLength(500);
  });
});

/** Runs statements of each kind on the tables whose rows are returned to clients. */
const runStatements = async (db: Db): Promise<unknown[]> => [
  await circles.findByIds(db, [1 as CircleId]),
  await circles.findByActor(db, { kind: 'user', id: 1 as never }),
  await circles.findMembershipsByCircles(db, [1 as CircleId]),
  await heldInvitations.findByCircles(db, [1 as CircleId]),
  await conversations.findByIds(db, [1 as ConversationId]),
  await findAccessibleConversations(db, { kind: 'user', id: 1 as never }, [1 as CircleId]),
  await conversations.findParticipantsByConversations(db, [1 as ConversationId]),
  await messages.findPages(db, [1 as ConversationId], { limit: 5, newestFirst: true }),
  await messages.findById(db, 1 as MessageId),
  await media.findMessage(db, 1 as MediaId),
  await media.findByMessages(db, [1 as MessageId]),
];

test('a column added by a newer node does not break transactions of this node', async () => {
  await using database = await openNewDatabase();
  const { db } = database;
  const before = await db.transaction().execute(runStatements);
  for (const table of [
    'circles',
    'memberships',
    'invitations',
    'conversations',
    'participants',
    'messages',
  ]) {
    await alterTable(db, table, 'add column later int', 'drop column later');
  }
  expect(await db.transaction().execute(runStatements)).toEqual(before);
});

test('a column type changed by a newer node breaks no request, and at most one transaction', async () => {
  await using database = await openNewDatabase();
  const { db } = database;
  const find = (from: Db) => circles.findByIds(from, [1 as CircleId]);
  await find(db);
  await alterTable(db, 'circles', 'alter name type varchar', 'alter name type text');
  expect(await find(db)).toEqual([]);
  expect(await db.transaction().execute(find)).toEqual([]);

  await alterTable(db, 'circles', 'alter name type text', 'alter name type text');
  await expect(db.transaction().execute(find)).rejects.toThrow('cached plan');
  expect(await db.transaction().execute(find)).toEqual([]);
});
