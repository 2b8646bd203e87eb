import { setTimeout as pause } from 'node:timers/promises';
import { ExpectedError } from '../errors.ts';
import type { Topic } from './event.ts';

/** Longest wait of a unit of work for the locks of its topics. */
const MAX_WAIT_MS = 5_000;
/** Pause between two attempts while too many connections wait for locks. */
const RETRY_MS = 100;
/** Limit for each topic. */
const MAX_QUEUED = 1_000;

export interface TopicLocksOptions {
  /** Connections that may wait for locks at a time; the others remain for work that needs no lock, or a free one. */
  readonly maxWaits: number;
}

/** How a unit of work may wait for the rows of topics. */
export type LockMode = 'wait' | 'skip';

interface Queue {
  /** The unit that waits for the topic's row, or whose turn it is to wait. */
  owner: object;
  readonly others: { readonly owner: object; readonly start: () => void }[];
}

/**
 * Coordinates how this process waits for the locks of topics. At most one connection waits for a topic; other units of
 * work are queued without a connection, so that a topic that is locked for long does not exhaust the pool.
 */
export class TopicLocks {
  readonly #options: TopicLocksOptions;
  readonly #queues = new Map<Topic, Queue>();
  #waits = 0;

  constructor(options: TopicLocksOptions) {
    this.#options = options;
  }

  /**
   * Runs a statement that locks the rows of topics. Throws `TopicBusyError` without running it if another unit waits for
   * one of them.
   */
  async run<Result>(
    topics: readonly Topic[],
    owner: object,
    lock: (mode: LockMode) => Promise<Result>,
  ): Promise<Result> {
    const busy = topics.find((topic) => (this.#queues.get(topic)?.owner ?? owner) !== owner);
    if (busy !== undefined) throw new TopicBusyError(busy);
    for (const topic of topics) if (!this.#queues.has(topic)) this.#queues.set(topic, { owner, others: [] });
    const mode = this.#waits < this.#options.maxWaits ? 'wait' : 'skip';
    this.#waits += 1;
    try {
      return await lock(mode);
    } finally {
      this.#waits -= 1;
      this.release(topics, owner);
    }
  }

  /** Resolves once it is the unit's turn to wait for the topic. Throws `LockTimeoutError` after the deadline. */
  async waitForTurn({ topic, isQueued }: TopicBusyError, owner: object, deadline: number): Promise<void> {
    const remainingMs = deadline - performance.now();
    if (remainingMs <= 0) throw new LockTimeoutError(topic);
    const queue = this.#queues.get(topic);
    if (queue === undefined || !isQueued)
      return pause(Math.min(RETRY_MS, remainingMs), undefined, { ref: false });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (queue.others.length >= MAX_QUEUED) throw new LockTimeoutError(topic);
    const waiter = { owner, start: resolve };
    queue.others.push(waiter);
    const timer = setTimeout(() => {
      queue.others.splice(queue.others.indexOf(waiter), 1);
      reject(new LockTimeoutError(topic));
    }, remainingMs);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Gives the unit's turns to the next units in the queues. */
  release(topics: readonly Topic[], owner: object): void {
    for (const topic of topics) {
      const queue = this.#queues.get(topic);
      if (queue?.owner !== owner) continue;
      const next = queue.others.shift();
      if (next === undefined) this.#queues.delete(topic);
      else {
        queue.owner = next.owner;
        next.start();
      }
    }
  }
}

/** When a unit of work that begins now gives up waiting. */
export const lockDeadline = (): number => performance.now() + MAX_WAIT_MS;

/** A topic's lock was not free in time. Has the code with which PostgreSQL reports this. */
class LockTimeoutError extends ExpectedError {
  override readonly name: string = 'LockTimeoutError';
  readonly code = '55P03';

  constructor(topic: Topic) {
    super(`The lock of ${topic} was not free in time.`);
  }
}

/** Another unit of work holds a topic, or waits for it: the connection should not be used to wait, too. */
export class TopicBusyError extends LockTimeoutError {
  override readonly name = 'TopicBusyError';
  readonly topic: Topic;
  /** Whether a unit of this process waits for the topic. */
  readonly isQueued: boolean;

  constructor(topic: Topic, isQueued = true) {
    super(topic);
    this.topic = topic;
    this.isQueued = isQueued;
  }
}
