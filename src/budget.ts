/** How much may wait in memory for those who read over one connection. */
export interface Budget {
  /** Whether more waits than that: nobody lets anything wait then but the one event that it needs. */
  readonly isSpent: boolean;
  /** So much more waits, or less. */
  add(bytes: number): void;
}

/** Of what waits for the readers of a connection, whether it just happened or was read from the log. */
const MAX_WAITING_BYTES = 1024 * 1024;

export function createBudget(limit: number = MAX_WAITING_BYTES): Budget {
  let waiting = 0;
  return {
    get isSpent() {
      return waiting > limit;
    },
    add: (bytes) => void (waiting += bytes),
  };
}
