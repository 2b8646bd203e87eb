import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import process from 'node:process';

const FILE = new URL('results.json', import.meta.url);

/**
 * A line of a figure: what was compared, and numbers with their units in their names; undefined for what was not there.
 */
export type Row = Readonly<Record<string, string | number | undefined>>;

/** What a figure's last run has measured, when, and on what. */
export interface Result {
  readonly measured: string;
  readonly machine: string;
  readonly rows: readonly Row[];
}

/** By figure. */
export type Results = Readonly<Record<string, Result>>;

export async function readResults(): Promise<Results> {
  return readFile(FILE, 'utf8').then(
    (text) => JSON.parse(text) as Results,
    () => ({}),
  );
}

/** Keeps the lines of a figure in results.json, in place of those of its last run. */
export async function record(figure: string, rows: readonly Row[]): Promise<void> {
  const machine = `${availableParallelism()} cores of ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`;
  const result: Result = { measured: new Date().toISOString().slice(0, 10), machine, rows };
  await writeFile(FILE, `${JSON.stringify({ ...(await readResults()), [figure]: result }, null, 2)}\n`);
}
