import { median } from './measure.ts';
import { print } from './server.ts';

const ROUNDS = 5;

/** What was measured in one round; undefined for what is not there to be measured. */
type Costs = Readonly<Record<string, number | undefined>>;

/** The medians of paired rounds; undefined for what is not there. */
export interface Medians<Round> {
  cost(name: keyof Round): number | undefined;
  /** Of the ratios within each round. */
  ratio(name: keyof Round, to: keyof Round): number | undefined;
}

export async function measureRounds<Round extends Costs>(
  measure: () => Promise<Round>,
): Promise<Medians<Round>> {
  const rounds: Round[] = [];
  for (let round = 0; round < ROUNDS; round += 1) rounds.push(await measure());
  const medianOf = (valueOf: (round: Round) => number): number | undefined => {
    const values = rounds.map(valueOf).filter((value) => !Number.isNaN(value));
    return values.length === 0 ? undefined : median(values);
  };
  return {
    cost: (name) => medianOf(({ [name]: cost = NaN }) => cost),
    ratio: (name, to) => medianOf(({ [name]: cost = NaN, [to]: other = NaN }) => cost / other),
  };
}

const NOT_THERE = 'not installed';

export const us = (value: number | undefined): string =>
  value === undefined ? NOT_THERE : `${value.toFixed(1)} us`;

export const times = (value: number | undefined): string =>
  value === undefined ? NOT_THERE : `${value.toFixed(2)} x`;

/** Prints a line of a table, each column as wide as its title. */
export const printRow = (titles: readonly string[], cells: readonly string[]): void =>
  print(cells.map((cell, index) => cell.padStart(titles[index]?.length ?? 0)).join('  '));
