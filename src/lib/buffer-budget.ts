/** How much may wait in memory for those who read over one connection. What waits for several of them counts once. */
export interface BufferBudget {
  /** Whether more waits than that. */
  readonly isExceeded: boolean;
  /** Bytes buffered for the readers of the connection. */
  readonly reserved: number;
  /** So much waits for one more reader. */
  reserve(what: object, bytes: number): void;
  release(what: object, bytes: number): void;
}

/** Of what waits for the readers of a connection, whether it just happened or was read from the log. */
const MAX_WAITING_BYTES = 1024 * 1024;

export const createBufferBudget = (limit: number = MAX_WAITING_BYTES): BufferBudget => new BudgetOf(limit);

class BudgetOf implements BufferBudget {
  readonly #limit: number;
  /** Most connections never have anything that waits. */
  #holders: Map<object, number> | undefined;
  #waiting = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get isExceeded(): boolean {
    return this.#waiting > this.#limit;
  }

  get reserved(): number {
    return this.#waiting;
  }

  reserve(what: object, bytes: number): void {
    this.#holders ??= new Map();
    const count = this.#holders.get(what) ?? 0;
    this.#holders.set(what, count + 1);
    if (count === 0) this.#waiting += bytes;
  }

  release(what: object, bytes: number): void {
    const count = this.#holders?.get(what) ?? 0;
    if (count > 1) return void this.#holders?.set(what, count - 1);
    this.#holders?.delete(what);
    this.#waiting -= bytes;
    if (this.#holders?.size === 0) this.#holders = undefined;
  }
}
