import { expect, test } from 'vitest';
import { pingDatabase } from '../../src/db/database.ts';
import { testDatabase } from '../harness/database.ts';

test('timers and sockets have their turn while the database is asked without end', async () => {
  const { db } = await testDatabase();
  let asking = true;
  const turn = new Promise<void>((resolve) => setTimeout(resolve, 20)).then(() => (asking = false));
  const deadline = performance.now() + 5_000;
  while (asking && performance.now() < deadline) await pingDatabase(db);
  expect(asking).toBe(false);
  await turn;
});
