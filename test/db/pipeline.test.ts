import { sql } from 'kysely';
import pg from 'pg';
import { expect, inject, test } from 'vitest';
import type { Db } from '../../src/db/database.ts';
import { openDatabase } from '../../src/db/database.ts';
import { Pipeline } from '../../src/db/pipeline.ts';
import { transactPipelined } from '../../src/db/pipelined-transaction.ts';
import { createLogger } from '../../src/log.ts';
import { openTestDatabase } from '../harness/database.ts';
import { indexes } from '../harness/numbers.ts';
import { openTurnProxy } from '../harness/turn-proxy.ts';

const insert = async (db: Db, name: string): Promise<void> => {
  await sql`insert into settings (name, value) values (${name}, 'a value')`.execute(db);
};

const fail = async (db: Db): Promise<void> => {
  await sql`select 1 / ${0}::int`.execute(db);
};

async function readNames(db: Db): Promise<string[]> {
  const rows = await db.selectFrom('settings').select('name').where('name', 'like', 'test%').execute();
  return rows.map(({ name }) => name).sort();
}

/** Runs the work in a transaction, and returns the messages of its errors and of those of its pending statements. */
async function readErrors(
  db: Db,
  work: (tx: Db) => Promise<{ readonly pending: readonly Promise<void>[] }>,
): Promise<unknown[]> {
  let statements: readonly Promise<void>[] = [];
  const committed = transactPipelined(db, async (tx) => {
    const { pending } = await work(tx);
    statements = pending;
    for (const statement of pending) statement.catch(() => undefined);
  });
  const results = await Promise.allSettled([committed]);
  return [...results, ...(await Promise.allSettled(statements))].map((result) =>
    result.status === 'rejected' ? String(result.reason) : 'done',
  );
}

const DIVISION = expect.stringContaining('division by zero');

test('statements that are pending at the end are committed, in order', async () => {
  const { db } = await openTestDatabase();
  const update = async (tx: Db): Promise<void> => {
    await sql`update settings set name = name || ' and 2' where name = ${'test 1'}`.execute(tx);
  };
  const errors = await readErrors(db, async (tx) => ({ pending: [insert(tx, 'test 1'), update(tx)] }));
  expect(errors).toEqual(['done', 'done', 'done']);
  expect(await readNames(db)).toEqual(['test 1 and 2']);
});

test('one that fails is the error of those behind it and of the commit, and nothing is stored', async () => {
  const { db } = await openTestDatabase();
  const errors = await readErrors(db, async (tx) => ({
    pending: [insert(tx, 'test 1'), fail(tx), insert(tx, 'test 2')],
  }));
  expect(errors).toEqual([DIVISION, 'done', DIVISION, DIVISION]);
  expect(await readNames(db)).toEqual([]);
});

test('a failure whose error the work ignores fails the commit', async () => {
  const { db } = await openTestDatabase();
  const errors = await readErrors(db, async (tx) => {
    await fail(tx).catch(() => undefined);
    return { pending: [] };
  });
  expect(errors).not.toEqual(['done']);
});

test('work that fails beside a statement that fails is rolled back, with its own error', async () => {
  const { db } = await openTestDatabase();
  const failed = transactPipelined(db, async (tx) => {
    await insert(tx, 'test 1');
    fail(tx).catch(() => undefined);
    throw new Error('refused');
  });
  await expect(failed).rejects.toThrow('refused');
  await transactPipelined(db, (tx) => insert(tx, 'test 2'));
  expect(await readNames(db)).toEqual(['test 2']);
});

test('a statement that is started behind the commit fails, and is not executed', async () => {
  const { db } = await openTestDatabase();
  let late: Promise<void> | undefined;
  const startLate = async (tx: Db): Promise<void> => {
    for (const _ of indexes(100)) await Promise.resolve();
    await insert(tx, 'test late');
  };
  await transactPipelined(db, async (tx) => {
    await insert(tx, 'test 1');
    late = startLate(tx);
    late.catch(() => undefined);
  });
  await expect(late).rejects.toThrow('behind the end');
  expect(await readNames(db)).toEqual(['test 1']);
});

test.skipIf(inject('database') !== 'postgres')('nothing is executed behind a start that failed', async () => {
  const { db, url } = await openTestDatabase();
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const pipeline = new Pipeline(client as unknown as pg.PoolClient, { isOff: false });
  const run = (text: string) => pipeline.run({ text, values: [] });
  const INSERT = `insert into settings (name, value) values ('test 1', 'a value')`;
  await run('begin nonsense');
  await expect(run(INSERT)).rejects.toThrow('nonsense');
  await expect(run(INSERT)).rejects.toThrow('nonsense');
  await expect(run('commit')).rejects.toThrow('nonsense');
  await run('rollback');
  expect(await readNames(db)).toEqual([]);
  await run('begin');
  await run(INSERT);
  await run('commit');
  expect(await readNames(db)).toEqual(['test 1']);
  await client.end();
});

test('statements that were skipped can be prepared later', async () => {
  const { db } = await openTestDatabase();
  const select = async (tx: Db): Promise<void> => {
    await sql`select ${1}::int as ${sql.ref('only in this test')}`.execute(tx);
  };
  for (const _ of [1, 2]) {
    await readErrors(db, async (tx) => ({ pending: [fail(tx), select(tx), select(tx)] }));
    expect(await readErrors(db, async (tx) => ({ pending: [select(tx), select(tx)] }))).toEqual([
      'done',
      'done',
      'done',
    ]);
  }
});

test('results have the types of the columns, and belong to their statements', async () => {
  const { db } = await openTestDatabase();
  const results = await transactPipelined(db, (tx) =>
    Promise.all([
      sql`select ${1}::bigint as "one", null as nothing, 'a'::text as "text"`.execute(tx),
      sql`select generate_series(1, ${3}::int) as number`.execute(tx),
      sql`update settings set value = value where name = ${'epoch'}`.execute(tx),
    ]),
  );
  expect(results.map(({ rows }) => rows)).toEqual([
    [{ one: 1, nothing: null, text: 'a' }],
    [{ number: 1 }, { number: 2 }, { number: 3 }],
    [],
  ]);
  expect(results[2].numAffectedRows).toBe(1n);
});

test.skipIf(inject('database') !== 'postgres')(
  'what is started without waiting is one turn, with the start and the end of the transaction',
  async () => {
    const { url = '' } = await openTestDatabase();
    await using proxy = await openTurnProxy(url);
    const options = { kind: 'postgres', url: proxy.url, listenUrl: url, poolSize: 1 } as const;
    await using database = await openDatabase(options, createLogger('silent'));
    const { db } = database;
    await readNames(db);
    const countTurns = async (work: (tx: Db) => Promise<unknown>): Promise<number> => {
      proxy.turns = 0;
      await transactPipelined(db, work);
      return proxy.turns;
    };
    expect(await countTurns(async () => undefined)).toBe(0);
    expect(await countTurns(async (tx) => ({ pending: [readNames(tx), readNames(tx)] }))).toBe(1);
    expect(await countTurns(async (tx) => [await readNames(tx), await readNames(tx)])).toBe(3);
  },
);

test.skipIf(inject('database') !== 'postgres')(
  'a value that cannot be sent fails its turn before it is sent',
  async () => {
    const { db } = await openTestDatabase();
    const circular: Record<string, unknown> = {};
    circular['itself'] = circular;
    const send = async (tx: Db): Promise<void> => {
      await sql`select ${circular}::json`.execute(tx);
    };
    const errors = await readErrors(db, async (tx) => ({ pending: [insert(tx, 'test 1'), send(tx)] }));
    expect(errors[0]).toMatch(/circular/i);
    expect(await readNames(db)).toEqual([]);
  },
);
