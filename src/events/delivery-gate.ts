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

/**
 * Stops deliveries while this node may have missed the end of a session, for example after it was suspended, or when the
 * database is too slow to be asked.
 */
export class DeliveryGate {
  readonly #leaseMs: number;
  readonly #comparer;
  #comparedAt = -Infinity;
  #heldBytes = 0;

  /** `compare` finds and delivers the ends of sessions. With a lease of Infinity it is not needed. */
  constructor(leaseMs: number, compare: () => Promise<void>) {
    this.#leaseMs = leaseMs;
    this.#comparer = createBatcher<undefined, void>(
      async (requests) => {
        const startedAt = performance.now();
        await compare();
        this.#comparedAt = startedAt;
        return requests.map(() => undefined);
      },
      { maxBatchSize: Number.MAX_SAFE_INTEGER },
    );
  }

  get isOpen(): boolean {
    return this.#leaseMs === Infinity || performance.now() - this.#comparedAt < this.#leaseMs;
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
    void this.pass().then(() => {
      this.#heldBytes -= bytes;
      deliver();
    });
    return true;
  }
}
