import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { compileOnce } from '../../src/db/compile-once.ts';
import { openTestDatabase } from '../harness/database.ts';

test('a statement is built once, and each call sends its own arguments', async () => {
  const { db } = await openTestDatabase();
  let buildCount = 0;
  const select = compileOnce((_db, texts: readonly string[], number: number | null) => {
    buildCount += 1;
    return sql<object>`select ${texts}::text[] as all_texts, ${number}::int as some_number, ${'constant'} as text`;
  });
  const calls: readonly (readonly [readonly string[], number | null])[] = [
    [['a', 'b'], 1],
    [[], null],
    [['it’s', '$1', ':x'], 3],
  ];
  const results = await Promise.all(calls.map((args) => select(db, ...args)));
  expect(results).toEqual(
    calls.map(([allTexts, someNumber]) => [{ allTexts, someNumber, text: 'constant' }]),
  );
  expect(await db.transaction().execute((tx) => select(tx, ['tx'], 4))).toEqual([
    { allTexts: ['tx'], someNumber: 4, text: 'constant' },
  ]);
  expect(buildCount).toBe(1);
});
