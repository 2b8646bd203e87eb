/** Work in flight that its owner waits for before it closes. */
export class PendingWork {
  readonly #pending = new Set<Promise<unknown>>();

  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    const promise = work();
    this.#pending.add(promise);
    try {
      return await promise;
    } finally {
      this.#pending.delete(promise);
    }
  }

  /** Resolves when all work has ended, successfully or not. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#pending);
  }
}
