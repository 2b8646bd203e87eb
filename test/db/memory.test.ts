import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { testDatabase } from '../harness/database.ts';

const ANSWERS = 500;
const TEXT_LENGTH = 100_000;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heapInUse(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

test('what the database has answered is let go of', async () => {
  const { db } = await testDatabase();
  const ask = () => sql`select repeat('x', ${TEXT_LENGTH}::int) as text`.execute(db);
  await ask();
  const before = heapInUse();
  for (let asked = 0; asked < ANSWERS; asked += 1) await ask();
  expect(heapInUse() - before).toBeLessThan((ANSWERS * TEXT_LENGTH) / 5);
});
