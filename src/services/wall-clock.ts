import { readClock } from '../db/clock.ts';
import type { Db } from '../db/database.ts';
import { startTimer as startSystemTimer } from '../lib/timeout.ts';
import type { StartTimer } from '../lib/timeout.ts';
import type { Logger } from '../log.ts';

/** Largest difference from the clock of the database at which the clock of a node counts as right. */
export const MAX_OFFSET_MS = 5_000;
const INTERVAL_MS = 10_000;
/** After a slower response the time at which the database read its clock is too uncertain. */
const MAX_ROUND_TRIP_MS = 1_000;

/** The time that all nodes share. */
export interface WallClock {
  /** Milliseconds since 1970: by this node's clock, or by the database's if they differ by more than `MAX_OFFSET_MS`. */
  now(): number;
  /** How far this node's clock is ahead of the database's, in milliseconds. */
  readonly offsetMs: number;
  /** Whether they differ by more than `MAX_OFFSET_MS`. */
  readonly isOff: boolean;
}

/** The clock of a node whose database runs in the same process. */
export const nodeClock: WallClock = { now: () => Date.now(), offsetMs: 0, isOff: false };

/**
 * Compares this node's clock with the database's every ten seconds. In between, time passes by the monotonic clock, so
 * that a change of this node's clock has no effect.
 */
export class DatabaseClock implements WallClock, AsyncDisposable {
  readonly #db: Db;
  readonly #log: Logger;
  readonly #startTimer: StartTimer;
  /** The database's time, when it was measured, and half of the round trip. */
  #measured = { time: Date.now(), at: performance.now(), error: Infinity };
  #wasOff = false;
  #isStopped = false;
  #cancelTimer = (): void => undefined;
  #measuring: Promise<void> = Promise.resolve();

  private constructor(db: Db, log: Logger, startTimer: StartTimer) {
    this.#db = db;
    this.#log = log;
    this.#startTimer = startTimer;
  }

  static async start(db: Db, log: Logger, startTimer: StartTimer = startSystemTimer): Promise<DatabaseClock> {
    const clock = new DatabaseClock(db, log, startTimer);
    await clock.#measure();
    clock.#schedule();
    return clock;
  }

  now(): number {
    return this.isOff ? this.#databaseTime : Date.now();
  }

  get offsetMs(): number {
    return Date.now() - this.#databaseTime;
  }

  get isOff(): boolean {
    return Math.abs(this.offsetMs) > MAX_OFFSET_MS + this.#measured.error;
  }

  get #databaseTime(): number {
    return this.#measured.time + performance.now() - this.#measured.at;
  }

  #schedule(): void {
    if (this.#isStopped) return;
    this.#cancelTimer = this.#startTimer(INTERVAL_MS, () => {
      this.#measuring = this.#measure()
        .catch((error: unknown) => this.#log.debug({ err: error }, 'the clock of the database was not read'))
        .finally(() => this.#schedule());
    });
  }

  async #measure(): Promise<void> {
    const sentAt = performance.now();
    const time = await readClock(this.#db);
    const at = performance.now();
    const roundTrip = at - sentAt;
    if (roundTrip > MAX_ROUND_TRIP_MS && this.#measured.error !== Infinity) return;
    this.#measured = { time: time + roundTrip / 2, at, error: roundTrip / 2 };
    this.#report();
  }

  #report(): void {
    if (this.isOff === this.#wasOff) return;
    this.#wasOff = this.isOff;
    const offsetSeconds = Math.round(this.offsetMs / 100) / 10;
    if (this.isOff)
      this.#log.error({ offsetSeconds }, 'the clock of this node differs from the database: set it by NTP');
    else this.#log.info({ offsetSeconds }, 'the clock of this node agrees with the database again');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true;
    this.#cancelTimer();
    await this.#measuring;
  }
}
