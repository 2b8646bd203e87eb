import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { testDatabase } from '../harness/database.ts';
import { memoryInUse } from '../harness/heap.ts';

const QUERIES = 500;
const TEXT_LENGTH = 100_000;

test('results of the embedded database are not retained', async () => {
  const { db } = await testDatabase();
  const query = () => sql`select repeat('x', ${TEXT_LENGTH}::int) as text`.execute(db);
  await query();
  const before = memoryInUse();
  for (let count = 0; count < QUERIES; count += 1) await query();
  expect(memoryInUse() - before).toBeLessThan((QUERIES * TEXT_LENGTH) / 5);
});
