/** Has works done a few at a time, in the order of asking. */
export interface Turns {
  /** How many wait for their turn. */
  readonly waiting: number;
  /** Whether nothing is under way. */
  readonly idle: boolean;
  take<Result>(work: () => Promise<Result>): Promise<Result>;
}

export function createTurns(atOnce: number): Turns {
  const waiting: (() => void)[] = [];
  let running = 0;
  return {
    get waiting() {
      return waiting.length;
    },
    get idle() {
      return running === 0;
    },
    async take(work) {
      if (running >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve));
      else running += 1;
      try {
        return await work();
      } finally {
        // Whoever is next takes over this place.
        const next = waiting.shift();
        if (next === undefined) running -= 1;
        else next();
      }
    },
  };
}
