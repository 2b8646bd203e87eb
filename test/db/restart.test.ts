import { sql } from 'kysely';
import { describe, expect, inject, test, vi } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import { createLogger } from '../../src/log.ts';
import { startPostgres } from '../harness/postgres.ts';

describe.skipIf(inject('database') !== 'postgres')('a restart of PostgreSQL', () => {
  test.each(['fast', 'immediate'] as const)('(%s) fails only the transactions in flight', async (mode) => {
    await using server = await startPostgres();
    await using database = await openDatabase({ kind: 'postgres', url: server.url }, createLogger('silent'));
    const statement = sql`select ${1}::int`;
    // The connection is checked out and idle between two statements: no query listens for its errors.
    const idle = Promise.withResolvers<void>();
    const restart = Promise.withResolvers<void>();
    const transaction = database.db.transaction().execute(async (tx) => {
      await statement.execute(tx);
      idle.resolve();
      await restart.promise;
      await statement.execute(tx);
    });
    await idle.promise;
    await server.restart(mode);
    restart.resolve();
    await expect(transaction).rejects.toThrow();
    await vi.waitFor(() => statement.execute(database.db), { timeout: 10_000 });
  });
});
