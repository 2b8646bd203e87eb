import fc from 'fast-check';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { openTestDatabase } from '../harness/database.ts';

test('any text is read from the database as it was written', async () => {
  const { db } = await openTestDatabase();
  const anyText = fc
    .string({ unit: 'grapheme' })
    .filter((text) => text.isWellFormed() && !text.includes('\0'));
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(fc.constantFrom('', '\ufeff', '\ufeff\ufeff', '\ufffe'), anyText),
      async (parts) => {
        const text = parts.join('');
        const { rows } = await sql<{ value: string }>`select ${text}::text as value`.execute(db);
        expect(rows).toEqual([{ value: text }]);
      },
    ),
    { numRuns: 200 },
  );
});
