import { ExpectedError } from '../errors.ts';
import { FairFlows } from './fair-flows.ts';

export interface FairQueueOptions {
  readonly concurrency: number;
  /** Longest time in the queue. Default: unbounded. */
  readonly timeoutMs?: number | undefined;
}

interface Waiter {
  readonly start: (slot: Slot) => void;
  readonly timer: NodeJS.Timeout | undefined;
}

/** The right to run one task, until it is released. */
export interface Slot {
  release(): void;
}

/**
 * Limits how many tasks run concurrently, and shares the slots fairly between flows (`FairFlows`). Tasks without a flow take
 * turns with those of flows.
 */
export class FairQueue {
  readonly #timeoutMs: number | undefined;
  readonly #unassigned: Waiter[] = [];
  readonly #flows = new FairFlows<Waiter>();
  readonly #concurrency: number;
  #free: number;
  /** Whether the last slot went to a task without a flow. */
  #isFlowNext = false;

  constructor({ concurrency, timeoutMs }: FairQueueOptions) {
    this.#concurrency = concurrency;
    this.#free = concurrency;
    this.#timeoutMs = timeoutMs;
  }

  /** Number of tasks that run. */
  get running(): number {
    return this.#concurrency - this.#free;
  }

  /** Number of queued tasks. */
  get queued(): number {
    return this.#unassigned.length + this.#flows.length;
  }

  /** Number of flows with queued tasks. */
  get queuedFlows(): number {
    return this.#flows.flows;
  }

  /** Returns a slot, or a promise of one while none is free. The promise rejects after the timeout. */
  acquire(flow: string | undefined): Slot | Promise<Slot> {
    if (this.#free > 0) {
      if (flow !== undefined) this.#flows.begin(flow);
      return this.#take(flow);
    }
    return new Promise((start, reject) => {
      const timer =
        this.#timeoutMs === undefined
          ? undefined
          : setTimeout(() => {
              this.#remove(flow, waiter);
              reject(new FairQueueTimeoutError());
            }, this.#timeoutMs);
      const waiter: Waiter = { start, timer };
      if (flow === undefined) this.#unassigned.push(waiter);
      else this.#flows.add(flow, waiter);
    });
  }

  #remove(flow: string | undefined, waiter: Waiter): void {
    if (flow === undefined) this.#unassigned.splice(this.#unassigned.indexOf(waiter), 1);
    else this.#flows.remove(flow, waiter);
  }

  #take(flow: string | undefined): Slot {
    this.#free -= 1;
    const startedAt = performance.now();
    let isReleased = false;
    return {
      release: () => {
        if (isReleased) return;
        isReleased = true;
        this.#free += 1;
        if (flow !== undefined) this.#flows.end(flow, performance.now() - startedAt);
        this.#startNext();
      },
    };
  }

  #startNext(): void {
    if (this.#free === 0) return;
    const unassigned = this.#isFlowNext && this.#flows.length > 0 ? undefined : this.#unassigned.shift();
    this.#isFlowNext = unassigned !== undefined;
    if (unassigned !== undefined) return this.#start(unassigned, undefined);
    const next = this.#flows.take();
    if (next !== undefined) this.#start(next.item, next.flow);
  }

  #start({ start, timer }: Waiter, flow: string | undefined): void {
    clearTimeout(timer);
    start(this.#take(flow));
  }
}

/** Has the message of pg-pool's own timeout, by which callers recognise that the database is unavailable. */
export class FairQueueTimeoutError extends ExpectedError {
  override readonly name = 'FairQueueTimeoutError';

  constructor() {
    super('timeout exceeded when trying to connect');
  }
}
