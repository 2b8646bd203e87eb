import { expect, test } from 'vitest';
import { pingDatabase } from '../../src/db/postgres.ts';
import { openTestDatabase } from '../harness/database.ts';

// PGlite runs queries synchronously: `patchPglite` yields to the event loop between them.

test('timers fire during an endless series of queries', async () => {
  const { db } = await openTestDatabase();
  let isRunning = true;
  const timer = new Promise<void>((resolve) => setTimeout(resolve, 20)).then(() => (isRunning = false));
  const deadline = performance.now() + 5_000;
  while (isRunning && performance.now() < deadline) await pingDatabase(db);
  expect(isRunning).toBe(false);
  await timer;
});
