import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { END_REASONS, ERROR_CODES, streamEnded } from '../../src/errors.ts';

/** Returns the cells of the table under a heading, row by row, without backticks. */
async function readTable(heading: string): Promise<string[][]> {
  const text = await readFile(new URL('../../docs/errors.md', import.meta.url), 'utf8');
  const [, section = ''] = text.split(`## ${heading}\n`);
  return (
    section
      .split('\n## ')[0]
      ?.split('\n')
      .filter((line) => line.startsWith('| `'))
      .map((line) =>
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim().replaceAll('`', '')),
      ) ?? []
  );
}

test('every code is documented with its status and its close code', async () => {
  const documented = (await readTable('Codes')).map(([code, http, close]) => [code, http, close]);
  const actual = Object.entries(ERROR_CODES).map(([code, entry]) => [
    code,
    String(entry.http),
    'close' in entry ? String(entry.close) : '',
  ]);
  expect(documented).toEqual(actual);
});

test('every end reason is documented with its code', async () => {
  const documented = (await readTable('End reasons')).map(([reason, code]) => [reason, code]);
  expect(documented).toEqual(END_REASONS.map((reason) => [reason, streamEnded(reason).code]));
});
