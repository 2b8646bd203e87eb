import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import process from 'node:process';
import { IS_QUICK } from './scale.ts';

const FILE = new URL('results.json', import.meta.url);

/** A row of a figure: the case, and numbers with the unit in the name; undefined for peers that are not installed. */
export type Row = Readonly<Record<string, string | number | undefined>>;

/** The last measurement of a figure. */
export interface Result {
  readonly measured: string;
  readonly machine: string;
  readonly rows: readonly Row[];
}

/** Results by figure. */
export type Results = Readonly<Record<string, Result>>;

export async function readResults(): Promise<Results> {
  return readFile(FILE, 'utf8').then(
    (text) => JSON.parse(text) as Results,
    () => ({}),
  );
}

export const describeMachine = (): string =>
  `${availableParallelism()} cores of ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`;

/** Writes the rows of a figure to results.json, replacing those of its last run. A quick run writes nothing. */
export async function record(figure: string, rows: readonly Row[]): Promise<void> {
  if (IS_QUICK) return;
  const measured = new Date().toISOString().slice(0, 10);
  const result: Result = { measured, machine: describeMachine(), rows };
  await writeFile(FILE, `${JSON.stringify({ ...(await readResults()), [figure]: result }, null, 2)}\n`);
}
