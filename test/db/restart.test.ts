import { sql } from 'kysely';
import { describe, expect, inject, test, vi } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import { createLogger } from '../../src/log.ts';
import { startPostgres } from '../harness/postgres.ts';

describe.skipIf(inject('database') !== 'postgres')('a restart of PostgreSQL', () => {
  test.each(['fast', 'immediate'] as const)('%s, fails only the transactions in flight', async (mode) => {
    await using server = await startPostgres();
    await using database = await openDatabase({ kind: 'postgres', url: server.url }, createLogger('silent'));
    const prepared = sql`select ${1}::int`;
    // The connection is checked out and idle between two statements: no query listens for its errors.
    const entered = Promise.withResolvers<void>();
    const restarted = Promise.withResolvers<void>();
    const holding = database.db.transaction().execute(async (tx) => {
      await prepared.execute(tx);
      entered.resolve();
      await restarted.promise;
      await prepared.execute(tx);
    });
    await entered.promise;
    await server.restart(mode);
    restarted.resolve();
    await expect(holding).rejects.toThrow();
    await vi.waitFor(() => prepared.execute(database.db), { timeout: 10_000 });
  });
});
