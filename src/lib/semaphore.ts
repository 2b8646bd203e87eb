/** Has works done a few at a time, in the order of asking. */
export interface Semaphore {
  /** How many wait for their turn. */
  readonly waiting: number;
  /** Whether nothing is under way. */
  readonly idle: boolean;
  run<Result>(work: () => Promise<Result>): Promise<Result>;
}

export const createSemaphore = (atOnce: number): Semaphore => new TurnsOf(atOnce);

/** A class, as each connection has some: methods and getters of their own would take most of its memory. */
class TurnsOf implements Semaphore {
  readonly #atOnce: number;
  #running = 0;
  #queue: (() => void)[] | undefined;

  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  get waiting(): number {
    return this.#queue?.length ?? 0;
  }

  get idle(): boolean {
    return this.#running === 0;
  }

  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#running >= this.#atOnce)
      await new Promise<void>((resolve) => (this.#queue ??= []).push(resolve));
    else this.#running += 1;
    try {
      return await work();
    } finally {
      // Whoever is next takes over this place.
      const next = this.#queue?.shift();
      if (next === undefined) {
        this.#running -= 1;
        this.#queue = undefined;
      } else next();
    }
  }
}
