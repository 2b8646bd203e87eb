import type { Receivers } from './load-clients.ts';
import { median } from './measure.ts';
import { print } from './server.ts';

const ROUNDS = 5;

/** Medians of paired rounds; undefined for peers that are not installed. */
export interface Medians<Name> {
  medianCost(name: Name): number | undefined;
  /** The median of the ratios per round. */
  medianRatio(name: Name, to: Name): number | undefined;
}

/** Measures all available targets in turn, round after round. */
export async function measureRounds<Name extends string>(
  targets: Readonly<Record<Name, (() => Promise<Receivers>) | undefined>>,
): Promise<Medians<Name>> {
  await using stack = new AsyncDisposableStack();
  const receivers = new Map<string, Receivers>();
  for (const [name, open] of Object.entries<(() => Promise<Receivers>) | undefined>(targets))
    if (open !== undefined) receivers.set(name, stack.use(await open()));
  const rounds: ReadonlyMap<string, number>[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const costs = new Map<string, number>();
    for (const [name, target] of receivers) costs.set(name, await target.measureCost());
    rounds.push(costs);
  }
  const medianOf = (valueOf: (costs: ReadonlyMap<string, number>) => number): number | undefined => {
    const values = rounds.map(valueOf).filter((value) => !Number.isNaN(value));
    return values.length === 0 ? undefined : median(values);
  };
  return {
    medianCost: (name) => medianOf((costs) => costs.get(name) ?? NaN),
    medianRatio: (name, to) => medianOf((costs) => (costs.get(name) ?? NaN) / (costs.get(to) ?? NaN)),
  };
}

/** Printed for peers that are not installed. */
export const NOT_INSTALLED = 'not installed';

export const formatUs = (value: number | undefined): string =>
  value === undefined ? NOT_INSTALLED : `${value.toFixed(1)} us`;

export const formatRatio = (value: number | undefined): string =>
  value === undefined ? NOT_INSTALLED : `${value.toFixed(2)} x`;

/** Prints a table row, each column as wide as its title. */
export const printRow = (titles: readonly string[], cells: readonly string[]): void =>
  print(cells.map((cell, index) => cell.padStart(titles[index]?.length ?? 0)).join('  '));
