const MAX_BUFFERED_BYTES = 1024 * 1024;
/** Bytes buffered for the readers of all connections: beyond it, slow ones read the log sooner. */
const MAX_TOTAL_BYTES = 64 * 1024 * 1024;

/**
 * Counts the bytes buffered for all readers of one connection, whether they come from the bus or from the log. An
 * object that several readers buffer counts once.
 *
 * A soft limit: `reserve` never fails, and each buffer checks `isExceeded` before it takes more.
 */
export class BufferBudget {
  readonly #limit: number;
  readonly #total: BufferBudget | undefined;
  /** Readers per object. Created on demand, because most connections never buffer anything. */
  #readers: Map<object, number> | undefined;
  #bytes = 0;

  /** `total` is the budget of all connections together. */
  constructor(limit: number = MAX_BUFFERED_BYTES, total?: BufferBudget) {
    this.#total = total;
    this.#limit = limit;
  }

  get isExceeded(): boolean {
    return this.#bytes > this.#limit || this.#total?.isExceeded === true;
  }

  /** Buffered bytes. */
  get reserved(): number {
    return this.#bytes;
  }

  /** Counts one more reader of the object. */
  reserve(object: object, bytes: number): void {
    this.#readers ??= new Map();
    const count = this.#readers.get(object) ?? 0;
    this.#readers.set(object, count + 1);
    if (count > 0) return;
    this.#bytes += bytes;
    this.#total?.reserve(object, bytes);
  }

  release(object: object, bytes: number): void {
    const count = this.#readers?.get(object) ?? 0;
    if (count > 1) return void this.#readers?.set(object, count - 1);
    this.#readers?.delete(object);
    this.#bytes -= bytes;
    this.#total?.release(object, bytes);
    if (this.#readers?.size === 0) this.#readers = undefined;
  }
}

/** Creates the budget of all connections of a node. */
export const createTotalBufferBudget = (): BufferBudget => new BufferBudget(MAX_TOTAL_BYTES);
