import { expect, test } from 'vitest';
import { pingDatabase } from '../../src/db/database.ts';
import { openTestDatabase } from '../harness/database.ts';

test('timers and sockets are served during an endless series of queries', async () => {
  const { db } = await openTestDatabase();
  let querying = true;
  const turn = new Promise<void>((resolve) => setTimeout(resolve, 20)).then(() => (querying = false));
  const deadline = performance.now() + 5_000;
  while (querying && performance.now() < deadline) await pingDatabase(db);
  expect(querying).toBe(false);
  await turn;
});
