import { LRUCache } from 'lru-cache';
import { addFailures, clearFailures, findFailures } from '../db/login-attempts.ts';
import type { Db } from '../db/database.ts';

/**
 * Failures are forgotten after this time without another one. Also the retention of counts, so longer than every delay.
 */
export const FAILURE_WINDOW_SECONDS = 15 * 60;
/** Bounds the memory of this node. */
const MAX_CACHED = 10_000;

interface Limit {
  /** Failures without a delay. */
  readonly free: number;
  /** The delay after the first failure beyond; it doubles with each further one, up to the maximum. */
  readonly delayMs: number;
  readonly maxDelayMs: number;
}

/** Documented in docs/operations/security.md. */
export const LOGIN_LIMITS = {
  /** Failures of a client that has logged in to the account before, or presents a token of it. */
  knownClient: { free: 10, delayMs: 250, maxDelayMs: 1_500 },
  /** Failures of an address on an account (or on a name without one). */
  addressAndAccount: { free: 10, delayMs: 1_000, maxDelayMs: 300_000 },
  /** Failures of an address on any account, but for those that know it. */
  address: { free: 30, delayMs: 250, maxDelayMs: 10_000 },
  /** Failures on an account from all addresses that it does not know. */
  account: { free: 100, delayMs: 1_000, maxDelayMs: 60_000 },
} as const satisfies Record<string, Limit>;

export type LoginLimit = keyof typeof LOGIN_LIMITS;

/** A client, an account, or both, for which failures are counted. */
export interface Subject {
  readonly limit: LoginLimit;
  readonly key: string;
}

export interface Delay {
  readonly limit: LoginLimit;
  readonly remainingMs: number;
}

/** The failed logins of subjects, counted in the database, and the delays that follow from them. */
export class LoginDelays {
  readonly #db: Db;
  /** End of the delay of subjects, so that a flood of attempts needs no query. */
  readonly #delayedUntil = new LRUCache<string, number>({ max: MAX_CACHED });

  constructor(db: Db) {
    this.#db = db;
  }

  /** Returns the longest delay of the subjects that has not ended. */
  async find(subjects: readonly Subject[]): Promise<Delay | undefined> {
    const cached = longest(
      subjects.map(({ limit, key }) => ({
        limit,
        remainingMs: (this.#delayedUntil.get(key) ?? 0) - performance.now(),
      })),
    );
    if (cached !== undefined) return cached;
    const counts = await findFailures(
      this.#db,
      subjects.map(({ key }) => key),
    );
    return longest(
      subjects.map(({ limit, key }, index) => {
        const { failures = 0, elapsedMs = null } = counts[index] ?? {};
        // After the clock was set back, a delay is over: each failure records the new time.
        const remainingMs = delayAfter(LOGIN_LIMITS[limit], failures) - (elapsedMs ?? Infinity);
        if (remainingMs > 0) this.#delayedUntil.set(key, performance.now() + remainingMs);
        return { limit, remainingMs };
      }),
    );
  }

  async addFailure(subjects: readonly Subject[]): Promise<void> {
    const keys = subjects.map(({ key }) => key);
    await addFailures(this.#db, keys, FAILURE_WINDOW_SECONDS);
  }

  async clear({ key }: Subject): Promise<void> {
    await clearFailures(this.#db, key);
  }
}

function delayAfter({ free, delayMs, maxDelayMs }: Limit, failures: number): number {
  return failures < free ? 0 : Math.min(delayMs * 2 ** (failures - free), maxDelayMs);
}

function longest(delays: readonly Delay[]): Delay | undefined {
  const [first] = delays.toSorted((a, b) => b.remainingMs - a.remainingMs);
  return first !== undefined && first.remainingMs > 0 ? first : undefined;
}
