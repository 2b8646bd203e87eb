/** How much may wait in memory for those who read over one connection. What waits for several of them counts once. */
export interface Budget {
  /** Whether more waits than that. */
  readonly isSpent: boolean;
  /** So much waits for one more reader. */
  hold(what: object, bytes: number): void;
  release(what: object, bytes: number): void;
}

/** Of what waits for the readers of a connection, whether it just happened or was read from the log. */
const MAX_WAITING_BYTES = 1024 * 1024;

export function createBudget(limit: number = MAX_WAITING_BYTES): Budget {
  const holders = new Map<object, number>();
  let waiting = 0;
  return {
    get isSpent() {
      return waiting > limit;
    },
    hold(what, bytes) {
      const count = holders.get(what) ?? 0;
      holders.set(what, count + 1);
      if (count === 0) waiting += bytes;
    },
    release(what, bytes) {
      const count = holders.get(what) ?? 0;
      if (count > 1) return void holders.set(what, count - 1);
      holders.delete(what);
      waiting -= bytes;
    },
  };
}
