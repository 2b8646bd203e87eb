/** After so long without an end the next one counts as the first. */
const LONG_LIFE_MS = 60_000;

/** How long a subscription waits before it begins again: longer with each attempt that brings nothing. */
export class Backoff {
  readonly #delayOf: (attempt: number) => number;
  #attempt = 0;
  #startedAt = 0;
  #connectingAt = 0;
  #isHeard = false;

  constructor(delayOf: (attempt: number) => number) {
    this.#delayOf = delayOf;
  }

  /** A result has come since it was started, or since the connection was last lost. */
  get isHeard(): boolean {
    return this.#isHeard;
  }

  started(): void {
    this.#startedAt = performance.now();
    this.#isHeard = false;
  }

  /** The wrapped client connects now; until then it has waited by itself. */
  connecting(): void {
    this.#connectingAt = performance.now();
    this.#isHeard = false;
  }

  lost(): void {
    this.#isHeard = false;
  }

  heard(): void {
    this.#isHeard = true;
  }

  succeeded(): void {
    this.#attempt = 0;
  }

  /** Milliseconds before the next attempt, less what the wrapped client waits by itself: it will wait again. */
  nextDelay(afterMs: number, connectingAt: number): number {
    if (performance.now() - this.#startedAt > LONG_LIFE_MS) this.#attempt = 0;
    const began = Math.max(this.#connectingAt, connectingAt);
    const waitedMs = this.#isHeard ? 0 : Math.max(0, began - this.#startedAt);
    const delayMs = this.#delayOf(this.#attempt) - waitedMs;
    this.#attempt += 1;
    return Math.max(afterMs, delayMs);
  }
}
