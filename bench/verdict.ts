import { median } from './measure.ts';

/** A ratio to a peer, measured in paired rounds together with the ratios of the peer to itself. */
export interface RatioFigure {
  readonly name: string;
  readonly ratios: readonly number[];
  readonly noise: readonly number[];
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

/** Ratios differ by so much between runs that show no noise. */
const RATIO_MARGIN = 0.1;
/** And by so much more between kinds of machines. */
const MACHINE_MARGIN = 0.25;

/** Returns the largest factor between two measurements of the same peer. */
export const noiseOf = ({ noise }: RatioFigure): number =>
  Math.exp(Math.max(0, ...noise.map((ratio) => Math.abs(Math.log(ratio)))));

/** Fails if the median ratio exceeds the recorded one by more than the noise of the run. */
export function judgeRatio(figure: RatioFigure, recorded: Recorded, machine: string): Verdict {
  const value = median(figure.ratios);
  const before = recorded.ratios[figure.name];
  const noise = noiseOf(figure);
  const measured = `${figure.name}: ${value.toFixed(2)} x the peer, which differs from itself by ${formatPercent(noise - 1)}`;
  if (before === undefined) return { passes: false, text: `${measured}; nothing is recorded` };
  const other = machine === recorded.machine ? 0 : MACHINE_MARGIN;
  const limit = before * noise * (1 + RATIO_MARGIN + other);
  const hint = other === 0 ? '' : ' on another machine';
  return {
    passes: value <= limit,
    text: `${measured}; recorded${hint} ${before.toFixed(2)}, limit ${limit.toFixed(2)}`,
  };
}

/** Fails if the count exceeds the recorded one by more than its margin. */
export function judgeCount({ name, value, margin }: CountFigure, recorded: Recorded): Verdict {
  const before = recorded.counts[name];
  if (before === undefined) return { passes: false, text: `${name}: ${format(value)}; nothing is recorded` };
  const limit = before * (1 + margin);
  return {
    passes: value <= limit,
    text: `${name}: ${format(value)}; recorded ${format(before)}, limit ${format(limit)}`,
  };
}

const formatPercent = (share: number): string => `${(share * 100).toFixed(0)} %`;
const format = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: 2 });
