import { readFile, writeFile } from 'node:fs/promises';

const FILE = new URL('results.json', import.meta.url);

/**
 * A line of a figure: what was compared, and numbers with their units in their names; undefined for what was not there.
 */
export type Row = Readonly<Record<string, string | number | undefined>>;

/** Keeps the lines of a figure in results.json, in place of those of its last run. */
export async function record(figure: string, rows: readonly Row[]): Promise<void> {
  const known = await readFile(FILE, 'utf8').then(
    (text) => JSON.parse(text) as Record<string, unknown>,
    () => ({}),
  );
  await writeFile(FILE, `${JSON.stringify({ ...known, [figure]: rows }, null, 2)}\n`);
}
