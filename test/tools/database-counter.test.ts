import pg from 'pg';
import { expect, test } from 'vitest';
import { openDatabaseCounter } from '../../bench/database-counter.ts';
import { startPostgres } from '../harness/postgres.ts';

test('the counter of the benches counts statements and turns', async () => {
  await using postgres = await startPostgres();
  await using counter = await openDatabaseCounter(postgres.url);
  const client = new pg.Client({ connectionString: counter.url });
  await client.connect();
  const start = counter.read();
  const countsSince = ({ turns, statements } = start) => {
    const now = counter.read();
    return { turns: now.turns - turns, statements: now.statements - statements };
  };
  await client.query('select 1');
  await client.query('select $1::int', [1]);
  expect(countsSince()).toEqual({ turns: 2, statements: 2 });
  await client.end();
});
