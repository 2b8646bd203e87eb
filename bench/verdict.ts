import { median } from './measure.ts';

/** A ratio to a peer, measured in paired rounds together with the ratios of the peer to itself. */
export interface RatioFigure {
  readonly name: string;
  /** By how much it may exceed the recorded ratio, relative to that: runs that show no noise differ by so much. */
  readonly margin: number;
  readonly ratios: readonly number[];
  readonly noise: readonly number[];
  /** Further rounds that do not count: other programs used the machine, which costs some programs more than others. */
  readonly busyRounds: number;
}

/** A count that hardly depends on the machine or its load. */
export interface CountFigure {
  readonly name: string;
  readonly value: number;
  /** By how much it may exceed the recorded value, relative to that. */
  readonly margin: number;
}

/** What `--record` has written. */
export interface Recorded {
  readonly machine: string;
  readonly ratios: Readonly<Record<string, number>>;
  readonly counts: Readonly<Record<string, number>>;
}

export interface Verdict {
  readonly passes: boolean;
  /** What was compared, in one line. */
  readonly text: string;
}

export interface RatioVerdict extends Verdict {
  /** Whether more rounds would hardly change it. */
  readonly isClear: boolean;
}

/** Ratios differ by so much more between kinds of machines. */
const MACHINE_MARGIN = 0.25;
/** Rounds before the first verdict. */
export const FIRST_ROUNDS = 5;
/** Rounds before the last verdict. */
const LAST_ROUNDS = 31;
/** Busy rounds after which the machine is too busy to compare. */
const MAX_BUSY_ROUNDS = 5;
/** A verdict against a ratio that is at its limit is at most so likely. */
const ERROR_RATE = 0.001;

/** Measures more rounds. Returns the figure of all rounds so far. */
export type MeasureRatio = (rounds: number) => Promise<RatioFigure>;

/** Measures rounds until the verdict is clear, or the last one. */
export async function decideRatio(
  measure: MeasureRatio,
  recorded: Recorded,
  machine: string,
): Promise<RatioVerdict> {
  let figure = await measure(FIRST_ROUNDS);
  for (;;) {
    const verdict = judgeRatio(figure, recorded, machine);
    const { ratios, busyRounds } = figure;
    if (verdict.isClear || ratios.length >= LAST_ROUNDS || busyRounds >= MAX_BUSY_ROUNDS) return verdict;
    figure = await measure(1);
  }
}

/**
 * Fails if the ratio exceeds the recorded one clearly: by the margin, by as much as the peer differs from itself, and in so
 * many rounds that chance does not explain it. Noise in single rounds, however large, is thus no worsening.
 */
export function judgeRatio(figure: RatioFigure, recorded: Recorded, machine: string): RatioVerdict {
  const { name, margin, ratios, busyRounds } = figure;
  const before = recorded.ratios[name];
  if (before === undefined) return { passes: false, isClear: true, text: `${name}: nothing is recorded` };
  if (ratios.length < FIRST_ROUNDS)
    return {
      passes: true,
      isClear: false,
      text: `${name}: not compared, as other programs used the machine in ${busyRounds} of ${ratios.length + busyRounds} rounds`,
    };
  const [value, noise] = [median(ratios), Math.abs(median(figure.noise.map(Math.log)))];
  if (!(value > 0) || Number.isNaN(noise)) throw new Error(`${name}: the rounds have no ratio.`);
  const measured = `${name}: ${formatRatio(value)} x the peer`;
  const other = machine === recorded.machine ? 0 : MACHINE_MARGIN;
  const quietLimit = before * (1 + margin + other);
  const limit = quietLimit * Math.exp(noise);
  const worse = ratios.filter((ratio) => ratio > limit).length;
  const isWorse = chanceOf(worse, ratios.length) <= ERROR_RATE;
  const hint = other === 0 ? '' : ' on another machine';
  return {
    passes: !isWorse,
    isClear: isWorse || value <= quietLimit,
    text: `${measured}; recorded${hint} ${formatRatio(before)}, limit ${formatRatio(limit)}, above it in ${worse} of ${ratios.length} rounds`,
  };
}

/** Returns how likely so many or more of the rounds are above their true median (sign test). */
function chanceOf(above: number, rounds: number): number {
  let [sum, binomial] = [0, 1];
  for (let count = rounds; count >= above; count -= 1) {
    sum += binomial;
    binomial *= count / (rounds - count + 1);
  }
  return sum / 2 ** rounds;
}

/** Fails if the count exceeds the recorded one by more than its margin, or nothing was counted. */
export function judgeCount({ name, value, margin }: CountFigure, recorded: Recorded): Verdict {
  const before = recorded.counts[name];
  if (before === undefined) return { passes: false, text: `${name}: ${format(value)}; nothing is recorded` };
  const limit = before * (1 + margin);
  return {
    passes: value > 0 && value <= limit,
    text: `${name}: ${format(value)}; recorded ${format(before)}, limit ${format(limit)}`,
  };
}

const formatRatio = (value: number): string => value.toPrecision(3);
const format = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: 2 });
