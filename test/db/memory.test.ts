import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { testDatabase } from '../harness/database.ts';
import { memoryInUse } from '../harness/heap.ts';

const ANSWERS = 500;
const TEXT_LENGTH = 100_000;

test('what the database has answered is let go of', async () => {
  const { db } = await testDatabase();
  const ask = () => sql`select repeat('x', ${TEXT_LENGTH}::int) as text`.execute(db);
  await ask();
  const before = memoryInUse();
  for (let asked = 0; asked < ANSWERS; asked += 1) await ask();
  expect(memoryInUse() - before).toBeLessThan((ANSWERS * TEXT_LENGTH) / 5);
});
