import { median } from './measure.ts';
import { MAX_WARM_UPS, ROUNDS } from './scale.ts';
import { print } from './server.ts';

/** Consecutive rounds of a warm target differ by less. */
const STEADY = 0.03;

/** The figures of a round, by name. */
export type Figures<Figure extends string> = Readonly<Record<Figure, number>>;

/** Runs a round of a target. */
export type Measurement<Figure extends string> = () => Promise<Figures<Figure>>;

/** Medians of paired rounds; undefined for targets that are not installed. */
export interface Medians<Name extends string, Figure extends string> {
  median(name: Name, figure: Figure): number | undefined;
  /** The median of the ratios per round. */
  ratio(name: Name, to: Name, figure: Figure): number | undefined;
  /** The values of the rounds. */
  values(name: Name, figure: Figure): readonly number[];
  /** The ratios per round. */
  ratios(name: Name, to: Name, figure: Figure): readonly number[];
}

/** What is measured, by name; undefined for targets that are not installed. */
export type Targets<Name extends string, Figure extends string> = Readonly<
  Record<Name, Measurement<Figure> | undefined>
>;

export interface PairOptions<Figure extends string> {
  /** The figure that must be steady before the rounds count. */
  readonly steady: Figure;
  readonly rounds?: number;
}

/** Measures more paired rounds. Returns the medians of all rounds so far. */
export type MeasureRounds<Name extends string, Figure extends string> = (
  count: number,
) => Promise<Medians<Name, Figure>>;

/** Warms up all available targets, and then measures them in turn, round after round, in alternating order. */
export async function measurePairs<Name extends string, Figure extends string>(
  targets: Targets<Name, Figure>,
  { steady, rounds = ROUNDS }: PairOptions<NoInfer<Figure>>,
): Promise<Medians<Name, Figure>> {
  return (await warmUpPairs(targets, steady))(rounds);
}

/** Warms up all available targets, for rounds whose number is not known before. */
export async function warmUpPairs<Name extends string, Figure extends string>(
  targets: Targets<Name, Figure>,
  steady: NoInfer<Figure>,
): Promise<MeasureRounds<Name, Figure>> {
  const available = Object.entries<Measurement<Figure> | undefined>(targets).flatMap(([name, measure]) =>
    measure === undefined ? [] : [[name as Name, measure] as const],
  );
  const names = new Map(available.map(([name, measure]) => [measure, name]));
  for (const [measure, name] of names) await warmUp(name, measure, steady);
  const rounds: ReadonlyMap<Name, Figures<Figure>>[] = [];
  return async (count) => {
    for (const end = rounds.length + count; rounds.length < end;) {
      const figures = new Map<Name, Figures<Figure>>();
      for (const [name, measure] of rounds.length % 2 === 0 ? available : available.toReversed())
        figures.set(name, await measure());
      rounds.push(figures);
    }
    return createMedians(rounds);
  };
}

function createMedians<Name extends string, Figure extends string>(
  rounds: readonly ReadonlyMap<Name, Figures<Figure>>[],
): Medians<Name, Figure> {
  const valuesOf = (valueOf: (figures: ReadonlyMap<Name, Figures<Figure>>) => number): number[] =>
    rounds.map(valueOf).filter((value) => !Number.isNaN(value));
  const ratios = (name: Name, to: Name, figure: Figure): number[] =>
    valuesOf((figures) => (figures.get(name)?.[figure] ?? NaN) / (figures.get(to)?.[figure] ?? NaN));
  const values = (name: Name, figure: Figure): number[] =>
    valuesOf((figures) => figures.get(name)?.[figure] ?? NaN);
  const medianOf = (values: readonly number[]): number | undefined =>
    values.length === 0 ? undefined : median(values);
  return {
    median: (name, figure) => medianOf(values(name, figure)),
    values,
    ratio: (name, to, figure) => medianOf(ratios(name, to, figure)),
    ratios,
  };
}

/** Runs rounds until two consecutive ones cost the same. */
async function warmUp<Figure extends string>(
  name: string,
  measure: Measurement<Figure>,
  steady: Figure,
): Promise<void> {
  let last = (await measure())[steady];
  for (let round = 1; round < MAX_WARM_UPS; round += 1) {
    const next = (await measure())[steady];
    const change = next / last - 1;
    if (Math.abs(change) < STEADY) return;
    last = next;
    if (round === MAX_WARM_UPS - 1)
      print(`(${name}: the last warm-up round differs by ${(change * 100).toFixed(0)} %)`);
  }
}

/** Printed for peers that are not measured. */
export const NOT_MEASURED = '-';

export const formatUs = (value: number | undefined): string =>
  value === undefined ? NOT_MEASURED : `${value.toFixed(1)} us`;

export const formatRatio = (value: number | undefined): string =>
  value === undefined ? NOT_MEASURED : `${value.toFixed(2)} x`;

/** Prints a table row, each column as wide as its title. */
export const printRow = (titles: readonly string[], cells: readonly string[]): void =>
  print(cells.map((cell, index) => cell.padStart(titles[index]?.length ?? 0)).join('  '));
