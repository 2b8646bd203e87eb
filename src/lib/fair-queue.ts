import { ExpectedError } from '../errors.ts';

/** A flow that was idle may be served this much service time ahead of the others, in milliseconds. */
const IDLE_CREDIT_MS = 50;
/** Assumed service time of a task until it has ended. */
const ESTIMATED_MS = 1;
/** Flows that are compared for the next slot: those that have been queued longest. */
const MAX_COMPARED_FLOWS = 64;
/** Idle flows whose past use is remembered. */
const MAX_REMEMBERED_FLOWS = 10_000;

export interface FairQueueOptions {
  readonly concurrency: number;
  /** Longest time in the queue. Default: unbounded. */
  readonly timeoutMs?: number | undefined;
}

interface Waiter {
  readonly start: (slot: Slot) => void;
  readonly timer: NodeJS.Timeout | undefined;
}

interface Flow {
  /** Earliest virtual time at which its next task may be served. */
  readonly notBefore: number;
  readonly waiters: Waiter[];
}

/** The right to run one task, until it is released. */
export interface Slot {
  release(): void;
}

/**
 * Limits how many tasks run concurrently, and shares the slots fairly between flows by the time that their tasks take
 * (start-time fair queueing): a flow that has used little is served before one that has used much, however many tasks
 * that one has queued. Tasks without a flow take turns with those of flows.
 */
export class FairQueue {
  readonly #timeoutMs: number | undefined;
  readonly #unassigned: Waiter[] = [];
  /** Flows with queued tasks, by the time at which they were queued or served last. */
  readonly #queued = new Map<string, Flow>();
  /** The virtual time at which each flow has used its share. */
  readonly #finishTimes = new Map<string, number>();
  readonly #concurrency: number;
  #free: number;
  /** Whether the last slot went to a task without a flow. */
  #isFlowNext = false;
  #virtualTime = 0;

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
    let count = this.#unassigned.length;
    for (const { waiters } of this.#queued.values()) count += waiters.length;
    return count;
  }

  /** Number of flows with queued tasks. */
  get queuedFlows(): number {
    return this.#queued.size;
  }

  /** Returns a slot, or a promise of one while none is free. The promise rejects after the timeout. */
  acquire(flow: string | undefined): Slot | Promise<Slot> {
    if (this.#free > 0) return this.#take(flow);
    return new Promise((start, reject) => {
      const waiters = this.#waitersOf(flow);
      const timer =
        this.#timeoutMs === undefined
          ? undefined
          : setTimeout(() => {
              waiters.splice(waiters.indexOf(waiter), 1);
              if (flow !== undefined && waiters.length === 0) this.#queued.delete(flow);
              reject(new FairQueueTimeoutError());
            }, this.#timeoutMs);
      const waiter: Waiter = { start, timer };
      waiters.push(waiter);
    });
  }

  #waitersOf(flow: string | undefined): Waiter[] {
    if (flow === undefined) return this.#unassigned;
    const existing = this.#queued.get(flow);
    if (existing !== undefined) return existing.waiters;
    const created: Flow = { notBefore: this.#virtualTime - IDLE_CREDIT_MS, waiters: [] };
    this.#queued.set(flow, created);
    return created.waiters;
  }

  #take(flow: string | undefined, notBefore = this.#virtualTime): Slot {
    this.#free -= 1;
    if (flow !== undefined) {
      const startTime = this.#startTime(flow, notBefore);
      this.#virtualTime = Math.max(this.#virtualTime, startTime);
      this.#finishTimes.set(flow, startTime + ESTIMATED_MS);
    }
    const startedAt = performance.now();
    let isReleased = false;
    return {
      release: () => {
        if (isReleased) return;
        isReleased = true;
        this.#free += 1;
        if (flow !== undefined) this.#addUse(flow, performance.now() - startedAt - ESTIMATED_MS);
        this.#startNext();
      },
    };
  }

  #startTime(flow: string, notBefore: number): number {
    return Math.max(notBefore, this.#finishTimes.get(flow) ?? -Infinity);
  }

  #addUse(flow: string, ms: number): void {
    this.#finishTimes.set(flow, (this.#finishTimes.get(flow) ?? this.#virtualTime) + ms);
    if (this.#finishTimes.size <= MAX_REMEMBERED_FLOWS) return;
    for (const [key, finishTime] of this.#finishTimes)
      if (finishTime <= this.#virtualTime - IDLE_CREDIT_MS) this.#finishTimes.delete(key);
    // Most have used more than their share: the past is forgotten, rather than searched again for each further flow.
    if (this.#finishTimes.size > MAX_REMEMBERED_FLOWS / 2) this.#finishTimes.clear();
  }

  #startNext(): void {
    if (this.#free === 0) return;
    const unassigned = this.#isFlowNext && this.#queued.size > 0 ? undefined : this.#unassigned.shift();
    this.#isFlowNext = unassigned !== undefined;
    if (unassigned !== undefined) return this.#start(unassigned, undefined);
    const next = this.#findNext();
    if (next === undefined) return;
    const [key, flow] = next;
    const waiter = flow.waiters.shift();
    // Reinserted at the end of the map, so that every flow is compared in its turn.
    this.#queued.delete(key);
    if (flow.waiters.length > 0) this.#queued.set(key, flow);
    if (waiter !== undefined) this.#start(waiter, key, flow.notBefore);
  }

  #findNext(): [string, Flow] | undefined {
    let next: [string, Flow] | undefined;
    let [earliest, compared] = [Infinity, 0];
    for (const entry of this.#queued) {
      const startTime = this.#startTime(entry[0], entry[1].notBefore);
      if (startTime < earliest) [next, earliest] = [entry, startTime];
      compared += 1;
      if (compared === MAX_COMPARED_FLOWS) break;
    }
    return next;
  }

  #start({ start, timer }: Waiter, flow: string | undefined, notBefore?: number): void {
    clearTimeout(timer);
    start(this.#take(flow, notBefore));
  }
}

/** Has the message of pg-pool's own timeout, by which callers recognise that the database is unavailable. */
export class FairQueueTimeoutError extends ExpectedError {
  override readonly name = 'FairQueueTimeoutError';

  constructor() {
    super('timeout exceeded when trying to connect');
  }
}
