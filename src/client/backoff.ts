/** Lifetime after which a subscription counts as stable: the next failure is attempt 0 again. */
const LONG_LIFE_MS = 60_000;

/** Computes the delay before a subscription restarts, which grows with each attempt that delivers no result. */
export class Backoff {
  readonly #delayOf: (attempt: number) => number;
  #attempt = 0;
  #startedAt = 0;
  #connectingAt = 0;
  #hasReceived = false;

  constructor(delayOf: (attempt: number) => number) {
    this.#delayOf = delayOf;
  }

  /** Whether a result was received since the start, or since the connection was last lost. */
  get hasReceived(): boolean {
    return this.#hasReceived;
  }

  onStart(): void {
    this.#startedAt = performance.now();
    this.#hasReceived = false;
  }

  /** Records that the wrapped client connects now, after its own retry delay. */
  onConnecting(): void {
    this.#connectingAt = performance.now();
    this.#hasReceived = false;
  }

  onLost(): void {
    this.#hasReceived = false;
  }

  onResult(): void {
    this.#hasReceived = true;
  }

  reset(): void {
    this.#attempt = 0;
  }

  /** Returns the milliseconds before the next attempt, minus the wrapped client's own delay, which it will add again. */
  nextDelay(afterMs: number, connectingAt: number): number {
    if (performance.now() - this.#startedAt > LONG_LIFE_MS) this.#attempt = 0;
    const connectingSince = Math.max(this.#connectingAt, connectingAt);
    const waitedMs = this.#hasReceived ? 0 : Math.max(0, connectingSince - this.#startedAt);
    const delayMs = this.#delayOf(this.#attempt) - waitedMs;
    this.#attempt += 1;
    return Math.max(afterMs, delayMs);
  }
}
