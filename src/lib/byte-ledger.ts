import type { ActorRef } from '../actor.ts';
import { createTotalBufferBudget } from './buffer-budget.ts';
import type { BufferBudget } from './buffer-budget.ts';
import { InflowLimit } from './inflow-limit.ts';
import type { InflowRate } from './inflow-limit.ts';
import { priorityOfLogin } from './turn-clock.ts';
import type { Priority } from './turn-clock.ts';

const MEGABYTE = 1024 * 1024;
/** Smaller amounts are not counted: the number of connections bounds them, and honest anonymous clients hold no more. */
export const MIN_COUNTED_BYTES = 16 * 1024;

/** Requests that wait for the bodies of others, each with what has arrived of its own: up to 64 KB. */
const MAX_WAITING = 256;

/** Bytes that all clients of a kind together may make the process hold, in each direction. */
const TOTAL_BYTES = { account: 48 * MEGABYTE, anonymous: 32 * MEGABYTE } as const satisfies Record<
  Priority,
  number
>;

/** For large messages and bodies of all anonymous clients together: a megabyte takes about 10 ms, and honest ones send none. */
const ANONYMOUS_INFLOW: InflowRate = { bytesPerSecond: 4 * MEGABYTE, burstBytes: 4 * MEGABYTE };

/** The client that holds bytes, as far as it is known. */
export interface Holder {
  readonly account?: ActorRef | undefined;
  readonly address?: string | undefined;
}

export type OnEvicted = (holder: Holder) => void;

/** Called when the bytes of the holder are needed for others: must free them. Returns whose they were. */
type Evict = () => Holder;

interface Waiting {
  readonly bytes: number;
  readonly onFree: (isFree: boolean) => void;
}

/**
 * The bytes that clients of one kind make the process hold together. Beyond the limit, those who have held bytes for the
 * longest time are evicted: an honest client holds them only briefly.
 */
export class ByteLedger {
  readonly #limit: number;
  readonly #onEvicted: OnEvicted;
  /** In the order in which they began to hold bytes. */
  readonly #holders = new Map<Evict, number>();
  readonly #waiting = new Set<Waiting>();
  #bytes = 0;

  constructor(limit: number, onEvicted: OnEvicted) {
    this.#limit = limit;
    this.#onEvicted = onEvicted;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Sets what a holder holds, and evicts the oldest holders until the total is within the limit. */
  set(holder: Evict, bytes: number): void {
    this.#bytes += bytes - (this.#holders.get(holder) ?? 0);
    if (bytes === 0) this.#holders.delete(holder);
    else this.#holders.set(holder, bytes);
    for (const [oldest, held] of this.#holders) {
      if (this.#bytes <= this.#limit) break;
      this.#holders.delete(oldest);
      this.#bytes -= held;
      this.#onEvicted(oldest());
    }
    this.#resumeWaiting();
  }

  /** Whether so many more bytes may be set without an eviction. Reports one otherwise: the caller must not hold them. */
  admits(bytes: number, holder: Holder): boolean {
    const isFree = this.#bytes + bytes <= this.#limit;
    if (!isFree) this.#onEvicted(holder);
    return isFree;
  }

  /**
   * Calls back, with true, when so many bytes may be set without an eviction: the callback must set them. Calls back with
   * false when the signal is aborted before, or, reporting an eviction, if too many wait already.
   */
  whenFree(bytes: number, holder: Holder, signal: AbortSignal, onFree: (isFree: boolean) => void): void {
    if (this.#waiting.size === 0 && this.#bytes + bytes <= this.#limit) return onFree(true);
    if (this.#waiting.size >= MAX_WAITING) {
      this.#onEvicted(holder);
      return onFree(false);
    }
    const waiting = { bytes, onFree };
    this.#waiting.add(waiting);
    signal.addEventListener('abort', () => {
      if (!this.#waiting.delete(waiting)) return;
      onFree(false);
      this.#resumeWaiting();
    });
  }

  /** Resumes those who have waited for the longest time, as far as their bytes fit. */
  #resumeWaiting(): void {
    const [next] = this.#waiting;
    if (next === undefined || this.#bytes + next.bytes > this.#limit) return;
    this.#waiting.delete(next);
    // Sets its bytes, and so resumes the next.
    next.onFree(true);
  }
}

export type Direction = 'inbound' | 'outbound';

/** The ledgers of a node: received and not handled yet, sent and not read yet, and events buffered for readers. */
export interface ByteLedgers extends Readonly<Record<Direction, Readonly<Record<Priority, ByteLedger>>>> {
  readonly buffered: BufferBudget;
  /** How fast what anonymous clients send in large pieces is received. */
  readonly inflow: InflowLimit;
}

export interface ByteLedgersOptions {
  /** Called for each holder that is evicted, or not admitted. */
  readonly onEvicted: OnEvicted;
  readonly totals?: Readonly<Record<Priority, number>>;
  readonly inflow?: InflowRate;
}

export function createByteLedgers({
  onEvicted,
  totals = TOTAL_BYTES,
  inflow = ANONYMOUS_INFLOW,
}: ByteLedgersOptions): ByteLedgers {
  const create = () => ({
    account: new ByteLedger(totals.account, onEvicted),
    anonymous: new ByteLedger(totals.anonymous, onEvicted),
  });
  return {
    inbound: create(),
    outbound: create(),
    buffered: createTotalBufferBudget(),
    inflow: new InflowLimit(inflow),
  };
}

/** The bytes of one connection or request in one direction, counted for its kind of client, which a login changes. */
export class LedgerEntry {
  readonly #ledgers: Readonly<Record<Priority, ByteLedger>>;
  readonly #holder: () => Holder;
  readonly #evict: Evict;
  #counted: Priority | undefined;

  constructor(ledgers: Readonly<Record<Priority, ByteLedger>>, holder: () => Holder, evict: () => void) {
    this.#ledgers = ledgers;
    this.#holder = holder;
    this.#evict = () => {
      this.#counted = undefined;
      const evicted = holder();
      evict();
      return evicted;
    };
  }

  /** Whether it holds enough to be counted: then every change must be reported. */
  get isCounted(): boolean {
    return this.#counted !== undefined;
  }

  update(bytes: number): void {
    const counted = bytes < MIN_COUNTED_BYTES ? 0 : bytes;
    if (counted === 0 && this.#counted === undefined) return;
    const priority = counted === 0 ? undefined : priorityOfLogin(this.#holder().account);
    if (this.#counted !== undefined && this.#counted !== priority) this.release();
    if (priority === undefined) return;
    this.#counted = priority;
    this.#ledgers[priority].set(this.#evict, counted);
  }

  /**
   * Updates the bytes once that evicts no one. Resolves with whether it did: not if the signal was aborted before, or if too
   * many wait already.
   */
  updateWhenFree(bytes: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const holder = this.#holder();
      this.#ledgers[priorityOfLogin(holder.account)].whenFree(bytes, holder, signal, (isFree) => {
        resolve(isFree);
        if (isFree) this.update(bytes);
      });
    });
  }

  release(): void {
    if (this.#counted !== undefined) this.#ledgers[this.#counted].set(this.#evict, 0);
    this.#counted = undefined;
  }
}
