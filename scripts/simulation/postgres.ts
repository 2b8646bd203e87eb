import { COSTS } from './costs.ts';
import { Process } from './machine.ts';
import type { Clock, Machine } from './machine.ts';

/** An interval in which the nodes that are not simulated repeat what the simulated one asks. */
const SPREAD_US = 50_000;

/** PostgreSQL: a process for each statement, and a disk. */
export class Postgres {
  busyUs = 0;
  readonly #clock: Clock;
  readonly #machine: Machine;
  readonly #others: number;
  readonly #random: () => number;
  readonly #commits: (() => void)[] = [];
  #isFlushing = false;

  /** `others` are the nodes that are not simulated. */
  constructor(clock: Clock, machine: Machine, others: number, random: () => number) {
    this.#clock = clock;
    this.#machine = machine;
    this.#others = others;
    this.#random = random;
  }

  run(us: number, done: () => void): void {
    this.busyUs += us * (1 + this.#others);
    new Process(this.#machine).run(us, done);
    for (let other = 0; other < this.#others; other += 1)
      this.#clock.after(this.#random() * SPREAD_US, () => new Process(this.#machine).run(us));
  }

  /** Transactions that wait for the disk are flushed together. */
  commit(done: () => void): void {
    this.#commits.push(done);
    if (!this.#isFlushing) this.#flush();
  }

  #flush(): void {
    const flushed = this.#commits.splice(0);
    this.#isFlushing = flushed.length > 0;
    if (!this.#isFlushing) return;
    this.#clock.after(COSTS.commit.value * 1_000, () => {
      for (const done of flushed) done();
      this.#flush();
    });
  }
}
