import pg from 'pg';
import { expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../harness/postgres.ts';

async function answer(server: PostgresServer, sql: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    const result = await client.query<{ answer: unknown }>(sql);
    return result.rows[0]?.answer;
  } finally {
    await client.end();
  }
}

test('PostgreSQL keeps commits over a crash', async () => {
  await using server = await startPostgres();
  const { url } = server;
  await answer(server, 'create table kept (answer int)');
  await answer(server, 'insert into kept values (42)');

  await server.restart('immediate');
  expect(server.log()).toContain('recovery');
  expect(await answer(server, 'select answer from kept')).toBe(42);

  await server.stop();
  await expect(answer(server, 'select 1 as answer')).rejects.toThrow();
  await server.start();
  expect(server.url).toBe(url);
  expect(await answer(server, "select lower('É') as answer")).toBe('é');
});
