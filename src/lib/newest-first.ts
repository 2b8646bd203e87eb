import type { TurnClock } from './turn-clock.ts';

/** Items that wait for each loop which handles them. */
const ITEMS_PER_LOOP = 64;
/** Items that have become stale are removed from this length of the list on. */
const MIN_CHECKED_LENGTH = 1_024;

interface Waiting<T> {
  readonly item: T;
  readonly since: number;
}

/**
 * Handles items in turns of the event loop, the newest first: a client that arrives among thousands is not served after all
 * of them. An item that became stale while it waited is not handled.
 */
export class NewestFirst<T> {
  readonly #turnClock: TurnClock;
  readonly #flow: string | undefined;
  readonly #isStale: (item: T) => boolean;
  readonly #handle: (item: T) => void;
  /** The newest is the last. */
  #waiting: Waiting<T>[] = [];
  #checkedLength = MIN_CHECKED_LENGTH;
  #loops = 0;
  #onEmpty: (() => void)[] = [];

  /** `flow` is that of the turns (`TurnClock.nextTurn`). `handle` must not throw. */
  constructor(
    turnClock: TurnClock,
    flow: string | undefined,
    isStale: (item: T) => boolean,
    handle: (item: T) => void,
  ) {
    this.#turnClock = turnClock;
    this.#flow = flow;
    this.#isStale = isStale;
    this.#handle = handle;
  }

  add(item: T): void {
    this.#waiting.push({ item, since: performance.now() });
    if (this.#waiting.length > this.#checkedLength) {
      this.#waiting = this.#waiting.filter((waiting) => !this.#isStale(waiting.item));
      this.#checkedLength = Math.max(MIN_CHECKED_LENGTH, 2 * this.#waiting.length);
    }
    // Many waiting items have a larger share of the turns of their flow, as each loop waits for its own.
    if (this.#waiting.length > this.#loops * ITEMS_PER_LOOP) void this.#run();
  }

  /** Removes and returns the items that have waited for longer. */
  takeOlderThan(ms: number): T[] {
    const youngest = this.#waiting.findIndex(({ since }) => performance.now() - since <= ms);
    const old = this.#waiting.splice(0, youngest < 0 ? this.#waiting.length : youngest);
    return old.map(({ item }) => item);
  }

  /** Resolves when no item waits. */
  async whenEmpty(): Promise<void> {
    if (this.#waiting.length > 0) await new Promise<void>((resolve) => this.#onEmpty.push(resolve));
  }

  async #run(): Promise<void> {
    this.#loops += 1;
    while (this.#waiting.length > 0) {
      if (this.#turnClock.isOver()) await this.#turnClock.nextTurn(this.#flow);
      const newest = this.#waiting.pop();
      if (newest !== undefined && !this.#isStale(newest.item)) this.#handle(newest.item);
    }
    this.#loops -= 1;
    for (const resolve of this.#onEmpty.splice(0)) resolve();
  }
}
