import type { Seats } from './load-clients.ts';
import { median } from './measure.ts';
import { print } from './server.ts';

const ROUNDS = 5;

/** The medians of paired rounds; undefined for what is not there. */
export interface Medians<Name> {
  cost(name: Name): number | undefined;
  /** Of the ratios within each round. */
  ratio(name: Name, to: Name): number | undefined;
}

/** Has all who are there deliver in turn, round after round. */
export async function measureRounds<Name extends string>(
  openings: Readonly<Record<Name, (() => Promise<Seats>) | undefined>>,
): Promise<Medians<Name>> {
  await using stack = new AsyncDisposableStack();
  const seats = new Map<string, Seats>();
  for (const [name, open] of Object.entries<(() => Promise<Seats>) | undefined>(openings))
    if (open !== undefined) seats.set(name, stack.use(await open()));
  const rounds: ReadonlyMap<string, number>[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const costs = new Map<string, number>();
    for (const [name, delivered] of seats) costs.set(name, await delivered.cost());
    rounds.push(costs);
  }
  const medianOf = (valueOf: (costs: ReadonlyMap<string, number>) => number): number | undefined => {
    const values = rounds.map(valueOf).filter((value) => !Number.isNaN(value));
    return values.length === 0 ? undefined : median(values);
  };
  return {
    cost: (name) => medianOf((costs) => costs.get(name) ?? NaN),
    ratio: (name, to) => medianOf((costs) => (costs.get(name) ?? NaN) / (costs.get(to) ?? NaN)),
  };
}

/** Stands for what a machine has not got. */
export const NOT_THERE = 'not installed';

export const us = (value: number | undefined): string =>
  value === undefined ? NOT_THERE : `${value.toFixed(1)} us`;

export const times = (value: number | undefined): string =>
  value === undefined ? NOT_THERE : `${value.toFixed(2)} x`;

/** Prints a line of a table, each column as wide as its title. */
export const printRow = (titles: readonly string[], cells: readonly string[]): void =>
  print(cells.map((cell, index) => cell.padStart(titles[index]?.length ?? 0)).join('  '));
