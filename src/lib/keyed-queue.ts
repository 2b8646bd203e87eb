export interface KeyedQueueOptions {
  /** Max tasks running. */
  readonly concurrency: number;
  /** Max tasks queued, of all keys. */
  readonly maxQueued: number;
  /** Max tasks queued of one key. */
  readonly maxQueuedPerKey: number;
  /** Creates the error of a task that finds the queue full, or is removed from it. */
  readonly createError: (key: string) => Error;
}

interface Queued {
  start(): void;
  refuse(): void;
}

/**
 * Limits how many tasks run concurrently, at most one of each key. Queued tasks start in turns: one of each key, in
 * order of arrival within a key. A task that finds the queue full takes the place of the newest task of the key with the
 * most queued tasks, so that one key cannot keep others out.
 */
export class KeyedQueue {
  readonly #options: KeyedQueueOptions;
  /** Queued tasks by key; the first key is next. */
  readonly #queues = new Map<string, Queued[]>();
  readonly #runningKeys = new Set<string>();
  #queuedCount = 0;

  constructor(options: KeyedQueueOptions) {
    this.#options = options;
  }

  /** Runs the task in its turn. Returns its result; throws its error, or that of `createError`. */
  async run<Result>(key: string, task: () => Promise<Result>): Promise<Result> {
    if (this.#runningKeys.has(key) || this.#runningKeys.size >= this.#options.concurrency)
      await this.#enqueue(key);
    else this.#runningKeys.add(key);
    try {
      return await task();
    } finally {
      this.#runningKeys.delete(key);
      this.#startNext();
    }
  }

  async #enqueue(key: string): Promise<void> {
    const { maxQueued, maxQueuedPerKey, createError } = this.#options;
    const own = this.#queues.get(key) ?? [];
    if (own.length >= maxQueuedPerKey) throw createError(key);
    if (this.#queuedCount >= maxQueued && !this.#makeRoom(own.length)) throw createError(key);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    own.push({ start: resolve, refuse: () => reject(createError(key)) });
    this.#queues.set(key, own);
    this.#queuedCount += 1;
    await promise;
  }

  /** Refuses the newest task of the key with the most queued tasks. Returns false if no key has more than `count`. */
  #makeRoom(count: number): boolean {
    let longestKey: string | undefined;
    let longest: Queued[] = [];
    for (const [key, tasks] of this.#queues)
      if (tasks.length > longest.length) [longestKey, longest] = [key, tasks];
    // With one more task of its own, the key would have the longest queue itself.
    if (longestKey === undefined || longest.length <= count + 1) return false;
    this.#take(longestKey, longest, longest.pop())?.refuse();
    return true;
  }

  #startNext(): void {
    if (this.#runningKeys.size >= this.#options.concurrency) return;
    for (const [key, tasks] of this.#queues) {
      if (this.#runningKeys.has(key)) continue;
      const next = this.#take(key, tasks, tasks.shift());
      // Back of the line: the other keys come first.
      if (this.#queues.delete(key)) this.#queues.set(key, tasks);
      this.#runningKeys.add(key);
      next?.start();
      return;
    }
  }

  #take(key: string, tasks: readonly Queued[], taken: Queued | undefined): Queued | undefined {
    this.#queuedCount -= 1;
    if (tasks.length === 0) this.#queues.delete(key);
    return taken;
  }
}
