import { nextTick } from 'node:process';

/** Work that the loops of one event-loop turn may do together. */
const SLICE_MS = 5;

/** Loops of anonymous clients wait in a queue of their own, and so do not delay those of accounts. */
export type Priority = 'account' | 'anonymous';

/** Returns the priority of a client by its login, which is undefined or null for an anonymous one. */
export const priorityOfLogin = (login: object | null | undefined): Priority =>
  login == null ? 'anonymous' : 'account';

/**
 * Divides the time of the event loop among the loops that drain queues of clients. Once they have worked for `SLICE_MS`
 * in one turn of the event loop, the others wait for later turns, in order, while requests and timers are served.
 */
export class TurnClock {
  readonly #waiting: Readonly<Record<Priority, (() => void)[]>> = { account: [], anonymous: [] };
  readonly #sliceMs: number;
  /** Start of the work in this turn; undefined before it. */
  #startedAt: number | undefined;

  constructor(sliceMs = SLICE_MS) {
    this.#sliceMs = sliceMs;
  }

  /** Whether the loops have used the time of this turn: a loop then awaits `nextTurn` before its next item. */
  isOver(): boolean {
    if (this.#startedAt === undefined) {
      this.#start();
      return false;
    }
    return performance.now() - this.#startedAt > this.#sliceMs;
  }

  /** Resolves in a later turn. The loop may then handle one item before it checks `isOver` again. */
  nextTurn(priority: Priority): Promise<void> {
    if (this.#startedAt === undefined) this.#start();
    return new Promise((resolve) => this.#waiting[priority].push(resolve));
  }

  #start(): void {
    this.#startedAt = performance.now();
    setImmediate(() => {
      this.#startedAt = undefined;
      void this.#resumeLoops();
    });
  }

  /** Resumes loops one after the other, an account's and an anonymous one alternately, until the turn is over. */
  async #resumeLoops(): Promise<void> {
    const { account, anonymous } = this.#waiting;
    while (account.length + anonymous.length > 0 && !this.isOver()) {
      for (const queue of [account, anonymous]) {
        queue.shift()?.();
        await afterMicrotasks();
      }
    }
  }
}

/** Resolves once the pending microtasks, and those that they add, have run. */
export const afterMicrotasks = (): Promise<void> => new Promise((resolve) => nextTick(resolve));
