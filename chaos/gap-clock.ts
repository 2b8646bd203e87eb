/** Measures the longest time between two occurrences of something that should continue. */
export class GapClock {
  #newestAt = performance.now();
  #longestMs = 0;

  note(): void {
    const now = performance.now();
    this.#longestMs = Math.max(this.#longestMs, now - this.#newestAt);
    this.#newestAt = now;
  }

  /** The longest time since the start, in whole milliseconds. */
  get longestMs(): number {
    return Math.round(this.#longestMs);
  }

  /** Starts the measurement again. */
  start(): void {
    this.#newestAt = performance.now();
    this.#longestMs = 0;
  }
}
