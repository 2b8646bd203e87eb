import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { openTestDatabase } from '../harness/database.ts';
import { measureMemory } from '../harness/heap.ts';

const QUERIES = 500;
const TEXT_LENGTH = 100_000;

test('results of the embedded database are not retained', async () => {
  const { db } = await openTestDatabase();
  const query = () => sql`select repeat('x', ${TEXT_LENGTH}::int) as text`.execute(db);
  await query();
  const before = measureMemory();
  for (let count = 0; count < QUERIES; count += 1) await query();
  expect(measureMemory() - before).toBeLessThan((QUERIES * TEXT_LENGTH) / 5);
});
