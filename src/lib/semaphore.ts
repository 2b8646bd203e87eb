/**
 * Limits how many tasks run concurrently. Further tasks are queued and start in order.
 *
 * A class, because every connection has several: a closure per method would dominate its memory.
 */
export class Semaphore {
  readonly #concurrency: number;
  #running = 0;
  #queue: (() => void)[] | undefined;

  constructor(concurrency: number) {
    this.#concurrency = concurrency;
  }

  /** Number of queued tasks. */
  get queuedCount(): number {
    return this.#queue?.length ?? 0;
  }

  get isIdle(): boolean {
    return this.#running === 0;
  }

  /** Runs the task as soon as a slot is free. Returns its result, or throws its error. */
  async run<Result>(task: () => Promise<Result>): Promise<Result> {
    if (this.#running >= this.#concurrency)
      await new Promise<void>((resolve) => (this.#queue ??= []).push(resolve));
    else this.#running += 1;
    try {
      return await task();
    } finally {
      // Hands the slot over without freeing it: a task that arrives before the next one starts cannot overtake it.
      const next = this.#queue?.shift();
      if (next === undefined) {
        this.#running -= 1;
        this.#queue = undefined;
      } else next();
    }
  }
}
