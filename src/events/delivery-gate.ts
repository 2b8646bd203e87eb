import { retry } from '../lib/backoff.ts';
import { createBatcher } from '../lib/batcher.ts';

/** A node compares the log at this interval. */
export const COMPARE_INTERVAL_MS = 300;
/** After a comparison, a node delivers for this long without another one. */
export const LEASE_MS = 600;
/**
 * A revocation that not all nodes have confirmed is answered after this: every node has compared the log since it was
 * committed, or delivers nothing until it has.
 */
export const REVOCATION_WAIT_MS = 750;

/** Notices that wait for a comparison. */
const MAX_HELD_BYTES = 16 * 1024 * 1024;

interface Held {
  readonly bytes: number;
  readonly deliver: () => void;
}

/**
 * Stops deliveries while this node may have missed the end of a session, for example after it was suspended, or when the
 * database is too slow to be asked.
 */
export class DeliveryGate {
  readonly #leaseMs: number;
  readonly #comparer;
  #comparedAt = -Infinity;
  /** The same by the system clock, which runs while a machine is suspended. */
  #comparedOn = -Infinity;
  /** In the order of calls. */
  readonly #held: Held[] = [];
  #heldBytes = 0;
  #isPassing = false;

  /** `compare` finds and delivers the ends of sessions. With a lease of Infinity it is not needed. */
  constructor(leaseMs: number, compare: () => Promise<void>) {
    this.#leaseMs = leaseMs;
    this.#comparer = createBatcher<undefined, void>(
      async (requests) => {
        const startedAt = performance.now();
        const startedOn = Date.now();
        const heldBefore = this.#held.length;
        await compare();
        this.#comparedAt = startedAt;
        this.#comparedOn = startedOn;
        this.#release(heldBefore);
        return requests.map(() => undefined);
      },
      { maxBatchSize: Number.MAX_SAFE_INTEGER },
    );
  }

  get isOpen(): boolean {
    if (this.#leaseMs === Infinity) return true;
    // Either clock only shortens the lease: a system clock that is set costs at most a comparison.
    return (
      performance.now() - this.#comparedAt < this.#leaseMs && Date.now() - this.#comparedOn < this.#leaseMs
    );
  }

  /** Whether a notice must wait: for a comparison, or for those that already do. */
  get mustHold(): boolean {
    return this.#held.length > 0 || !this.isOpen;
  }

  /** Compares with the log. Concurrent calls share a comparison that starts after the last of them. */
  compare(): Promise<void> {
    return this.#comparer.submit(undefined);
  }

  /** Resolves once a comparison that started after the call has succeeded. */
  pass(): Promise<void> {
    return retry(() => this.compare(), { isRetryable: () => true, isWanted: () => true });
  }

  /** Delivers a notice after the next comparison, in the order of calls. Returns false if too many are held. */
  hold(bytes: number, deliver: () => void): boolean {
    if (this.#heldBytes + bytes > MAX_HELD_BYTES) return false;
    this.#heldBytes += bytes;
    this.#held.push({ bytes, deliver });
    if (!this.#isPassing) void this.#passHeld();
    return true;
  }

  async #passHeld(): Promise<void> {
    this.#isPassing = true;
    while (this.#held.length > 0) await this.pass();
    this.#isPassing = false;
  }

  /** Delivers the first `count` of the held notices, and the others while the gate is open. */
  #release(count: number): void {
    for (let released = 0; released < count || this.isOpen; released += 1) {
      const held = this.#held.shift();
      if (held === undefined) return;
      this.#heldBytes -= held.bytes;
      held.deliver();
    }
  }
}
