import { nextTick } from 'node:process';
import { FairFlows } from './fair-flows.ts';

/** Work that the loops of one event-loop turn may do together. */
const SLICE_MS = 5;
/** Work that a resumed loop may do before the next: a client that waits for one item is not delayed by long queues of others. */
const RESUMED_SLICE_MS = 0.5;
/** Slices that the loops leave to turns in which connections are accepted, between two of their own. */
const ACCEPTING_SLICES = 4;

/** Loops of anonymous clients wait in a queue of their own, and so do not delay those of accounts. */
export type Priority = 'account' | 'anonymous';

/** The flow of work for accounts whose clients are not known yet. */
export const UNKNOWN_ACCOUNTS = 'unknown accounts';

/** Returns the priority of a client by its login, which is undefined or null for an anonymous one. */
export const priorityOfLogin = (login: object | null | undefined): Priority =>
  login == null ? 'anonymous' : 'account';

/**
 * Divides the time of the event loop among the loops that drain queues of clients. Once they have worked for `SLICE_MS`
 * in one turn of the event loop, the others wait for later turns, while requests and timers are served: the loops of accounts
 * fairly by the time that each account has used, those of anonymous clients in order.
 */
export class TurnClock {
  readonly #accounts = new FairFlows<() => void>();
  readonly #anonymous: (() => void)[] = [];
  readonly #sliceMs: number;
  /** The end of the work in this turn, and of the loop that works; undefined before the first. */
  #turnEndsAt: number | undefined;
  #sliceEndsAt = 0;
  #hasAccepted = false;
  #resumedAt = Number.NEGATIVE_INFINITY;

  constructor(sliceMs = SLICE_MS) {
    this.#sliceMs = sliceMs;
  }

  /** Whether the loop has used its time of this turn: it then awaits `nextTurn` before its next item. */
  isOver(): boolean {
    if (this.#turnEndsAt === undefined) {
      this.#start();
      return false;
    }
    return performance.now() > this.#sliceEndsAt;
  }

  /**
   * Resolves in a later turn. The loop may then handle one item before it checks `isOver` again. `account` is the key of the
   * account for which it works; undefined for anonymous clients.
   */
  nextTurn(account: string | undefined): Promise<void> {
    if (this.#turnEndsAt === undefined) this.#start();
    return new Promise((resolve) => {
      if (account === undefined) this.#anonymous.push(resolve);
      else this.#accounts.add(account, resolve);
    });
  }

  /**
   * Records that a connection was accepted in this turn. Node.js accepts one in each, and a client whose connection waits
   * behind many others would wait for as many slices: the loops leave four of five slices to such turns.
   */
  connectionAccepted(): void {
    this.#hasAccepted = true;
  }

  #start(sliceMs = this.#sliceMs): number {
    const endsAt = performance.now() + sliceMs;
    [this.#turnEndsAt, this.#sliceEndsAt] = [endsAt, endsAt];
    setImmediate(() => {
      this.#turnEndsAt = undefined;
      const isForConnections =
        this.#hasAccepted && performance.now() - this.#resumedAt < ACCEPTING_SLICES * this.#sliceMs;
      this.#hasAccepted = false;
      if (this.#waitingCount === 0) return;
      if (isForConnections) this.#start(0);
      else void this.#resumeLoops(this.#start());
    });
    return endsAt;
  }

  get #waitingCount(): number {
    return this.#accounts.length + this.#anonymous.length;
  }

  /** Resumes loops one after the other, an account's and an anonymous one alternately, until the turn is over. */
  async #resumeLoops(turnEndsAt: number): Promise<void> {
    do {
      const next = this.#accounts.take();
      if (next !== undefined) this.#accounts.end(next.flow, await this.#resume(next.item, turnEndsAt));
      const resume = this.#anonymous.shift();
      if (resume !== undefined) await this.#resume(resume, turnEndsAt);
    } while (this.#waitingCount > 0 && performance.now() <= turnEndsAt);
    this.#resumedAt = performance.now();
    if (this.#turnEndsAt === turnEndsAt) this.#sliceEndsAt = turnEndsAt;
  }

  /** Resolves to the milliseconds for which the loop has worked. */
  async #resume(resume: () => void, turnEndsAt: number): Promise<number> {
    const startedAt = performance.now();
    this.#sliceEndsAt = Math.min(turnEndsAt, startedAt + RESUMED_SLICE_MS);
    resume();
    await afterMicrotasks();
    return performance.now() - startedAt;
  }
}

/** Resolves once the pending microtasks, and those that they add, have run. */
export const afterMicrotasks = (): Promise<void> => new Promise((resolve) => nextTick(resolve));
