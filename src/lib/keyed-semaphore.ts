import { Semaphore } from './semaphore.ts';

/** Limits how many tasks of each key run concurrently. Further tasks are queued and start in order. */
export class KeyedSemaphore {
  readonly #concurrency: number;
  /** Keys with a task. */
  readonly #semaphores = new Map<string, Semaphore>();

  constructor(concurrency: number) {
    this.#concurrency = concurrency;
  }

  get size(): number {
    return this.#semaphores.size;
  }

  /** Runs the task as soon as its key has a free slot. Returns its result, or throws its error. */
  async run<Result>(key: string, task: () => Promise<Result>): Promise<Result> {
    const semaphore = this.#semaphores.get(key) ?? new Semaphore(this.#concurrency);
    this.#semaphores.set(key, semaphore);
    try {
      return await semaphore.run(task);
    } finally {
      if (semaphore.isIdle) this.#semaphores.delete(key);
    }
  }
}
