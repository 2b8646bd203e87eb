import type { Priority, TurnClock } from './turn-clock.ts';

/** Stale items are removed from the list at this length at the earliest. */
const MIN_CHECKED_LENGTH = 1_024;

/**
 * Handles items in turns of the event loop, the newest first: whoever arrives among thousands is not handled after all
 * that came before. An item that became stale while it waited is not handled.
 */
export class NewestFirst<T> {
  readonly #turnClock: TurnClock;
  readonly #priority: Priority;
  readonly #isStale: (item: T) => boolean;
  readonly #handle: (item: T) => void;
  /** The newest is the last. */
  #waiting: T[] = [];
  #checkedLength = MIN_CHECKED_LENGTH;
  #isRunning = false;

  /** `handle` must not throw. */
  constructor(
    turnClock: TurnClock,
    priority: Priority,
    isStale: (item: T) => boolean,
    handle: (item: T) => void,
  ) {
    this.#turnClock = turnClock;
    this.#priority = priority;
    this.#isStale = isStale;
    this.#handle = handle;
  }

  add(item: T): void {
    this.#waiting.push(item);
    if (this.#waiting.length > this.#checkedLength) {
      this.#waiting = this.#waiting.filter((waiting) => !this.#isStale(waiting));
      this.#checkedLength = Math.max(MIN_CHECKED_LENGTH, 2 * this.#waiting.length);
    }
    if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiting.length > 0) {
      if (this.#turnClock.isOver()) await this.#turnClock.nextTurn(this.#priority);
      const item = this.#waiting.pop();
      if (item !== undefined && !this.#isStale(item)) this.#handle(item);
    }
    this.#isRunning = false;
  }
}
