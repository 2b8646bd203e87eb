import process from 'node:process';

/** Whether `npm run bench -- --quick` tries benches with short rounds, which record nothing. */
export const IS_QUICK = process.env['BENCH_QUICK'] === '1';

/** Paired rounds per case. */
export const ROUNDS = IS_QUICK ? 2 : 5;
/** Rounds in which a target may warm up. */
export const MAX_WARM_UPS = IS_QUICK ? 1 : 4;
/** A round ends after so many deliveries, or this time. */
export const DELIVERIES = IS_QUICK ? 3_000 : 100_000;
export const ROUND_MS = IS_QUICK ? 300 : 5_000;
/** After this time a node knows that it is alone, and no longer sends notices to other nodes. */
export const DETECT_ALONE_MS = IS_QUICK ? 0 : 16_000;

/** Returns a number of repetitions, or few of them in a quick run. */
export const repeat = (times: number): number => (IS_QUICK ? Math.ceil(times / 50) : times);
