import pg from 'pg';
import { expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../harness/postgres.ts';

async function queryValue(server: PostgresServer, sql: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    const result = await client.query<{ value: unknown }>(sql);
    return result.rows[0]?.value;
  } finally {
    await client.end();
  }
}

test('PostgreSQL retains commits over a crash', async () => {
  await using server = await startPostgres();
  const { url } = server;
  await queryValue(server, 'create table numbers (value int)');
  await queryValue(server, 'insert into numbers values (42)');

  await server.restart('immediate');
  expect(server.log()).toContain('recovery');
  expect(await queryValue(server, 'select value from numbers')).toBe(42);

  await server.stop();
  await expect(queryValue(server, 'select 1 as value')).rejects.toThrow();
  await server.start();
  expect(server.url).toBe(url);
  expect(await queryValue(server, "select lower('É') as value")).toBe('é');
});
