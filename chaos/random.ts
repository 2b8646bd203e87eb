/** A seeded pseudorandom number generator. */
export interface Random {
  /** Returns an integer from `from` to `to`, inclusive. */
  between(from: number, to: number): number;
  pick<Value>(values: readonly Value[]): Value;
}

/** mulberry32, by Tommy Ettinger: https://github.com/bryc/code/blob/master/jshash/PRNGs.md. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1));
  return { between, pick: (values) => values[between(0, values.length - 1)] as (typeof values)[number] };
}
