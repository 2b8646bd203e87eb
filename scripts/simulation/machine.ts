/** A clock of simulated microseconds, which runs callbacks in the order of their times. */
export class Clock {
  now = 0;
  readonly #heap: { readonly time: number; readonly order: number; readonly run: () => void }[] = [];
  #order = 0;

  after(delayUs: number, run: () => void): void {
    const entry = { time: this.now + delayUs, order: (this.#order += 1), run };
    let index = this.#heap.length;
    this.#heap.push(entry);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.#isBefore(parent, index)) break;
      this.#swap(parent, index);
      index = parent;
    }
  }

  runUntil(time: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.time <= time; next = this.#heap[0]) {
      this.#removeFirst();
      this.now = next.time;
      next.run();
    }
    this.now = time;
  }

  #removeFirst(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    for (let index = 0; ;) {
      const left = 2 * index + 1;
      if (left >= this.#heap.length) return;
      const child = left + 1 < this.#heap.length && this.#isBefore(left + 1, left) ? left + 1 : left;
      if (this.#isBefore(index, child)) return;
      this.#swap(index, child);
      index = child;
    }
  }

  #isBefore(a: number, b: number): boolean {
    const [first, second] = [this.#heap[a], this.#heap[b]];
    if (first === undefined || second === undefined) return false;
    return first.time < second.time || (first.time === second.time && first.order < second.order);
  }

  #swap(a: number, b: number): void {
    const [first, second] = [this.#heap[a], this.#heap[b]];
    if (first === undefined || second === undefined) return;
    this.#heap[a] = second;
    this.#heap[b] = first;
  }
}

/** Time that a process keeps its core while others wait, as in Linux. */
const SLICE_US = 3_000;

/** Cores that processes share. */
export class Machine {
  readonly clock: Clock;
  readonly cores: number;
  #free: number;
  readonly #ready: Process[] = [];

  constructor(clock: Clock, cores: number) {
    this.clock = clock;
    this.cores = cores;
    this.#free = cores;
  }

  enqueue(process: Process): void {
    this.#ready.push(process);
    this.#dispatch();
  }

  #dispatch(): void {
    while (this.#free > 0) {
      const process = this.#ready.shift();
      if (process === undefined) return;
      this.#free -= 1;
      this.#runSlice(process, 0);
    }
  }

  #runSlice(process: Process, usedUs: number): void {
    const job = process.takeJob();
    if (job === undefined || (usedUs >= SLICE_US && this.#ready.length > 0)) {
      if (job !== undefined) process.putBack(job);
      this.#free += 1;
      if (process.suspend()) this.#ready.push(process);
      this.#dispatch();
      return;
    }
    const us = Math.min(job.us, SLICE_US);
    this.clock.after(us, () => {
      process.busyUs += us;
      if (us < job.us) process.putBack({ us: job.us - us, done: job.done });
      else job.done();
      this.#runSlice(process, usedUs + us);
    });
  }
}

interface Job {
  readonly us: number;
  readonly done: () => void;
}

/** A single thread, which runs jobs in the order of their arrival. */
export class Process {
  busyUs = 0;
  readonly #machine: Machine;
  #jobs: Job[] = [];
  #first = 0;
  #isActive = false;

  readonly #wakeUs: number;

  /** `wakeUs` is added to the first job after a wait: system calls, and caches that others have used. */
  constructor(machine: Machine, wakeUs = 0) {
    this.#machine = machine;
    this.#wakeUs = wakeUs;
  }

  /** Uses so many microseconds of CPU, then calls `done`. */
  run(us: number, done: () => void = () => undefined): void {
    this.#jobs.push({ us: this.#isActive ? us : us + this.#wakeUs, done });
    if (this.#isActive) return;
    this.#isActive = true;
    this.#machine.enqueue(this);
  }

  takeJob(): Job | undefined {
    const job = this.#jobs[this.#first];
    if (job !== undefined) this.#first += 1;
    if (this.#first > 1_000) {
      this.#jobs = this.#jobs.slice(this.#first);
      this.#first = 0;
    }
    return job;
  }

  putBack(job: Job): void {
    if (this.#first > 0) this.#jobs[(this.#first -= 1)] = job;
    else this.#jobs.unshift(job);
  }

  /** Gives the core up. Returns whether there is more to do. */
  suspend(): boolean {
    this.#isActive = this.#first < this.#jobs.length;
    return this.#isActive;
  }
}
