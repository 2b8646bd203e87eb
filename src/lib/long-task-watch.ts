export interface LongTaskWatchOptions {
  readonly longMs: number;
  /** Called while a task is long, once in each such period. */
  onLong(): Promise<unknown>;
}

/** Watches for tasks that take long, with one timer for all of them. */
export class LongTaskWatch {
  readonly #options: LongTaskWatchOptions;
  readonly #startTimes = new Map<object, number>();
  #isWatching = false;

  constructor(options: LongTaskWatchOptions) {
    this.#options = options;
  }

  begin(task: object): void {
    this.#startTimes.set(task, performance.now());
    if (!this.#isWatching) this.#watch();
  }

  end(task: object): void {
    this.#startTimes.delete(task);
  }

  /** Stops when no task runs, until the next one. */
  #watch(): void {
    const { longMs, onLong } = this.#options;
    this.#isWatching = true;
    const check = async (): Promise<void> => {
      // The first one is the oldest.
      const [oldest] = this.#startTimes.values();
      if (oldest !== undefined && performance.now() - oldest >= longMs) await onLong().catch(() => undefined);
      this.#isWatching = false;
      if (this.#startTimes.size > 0) this.#watch();
    };
    setTimeout(() => void check(), longMs).unref();
  }
}
