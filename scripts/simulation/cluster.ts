import { createRandom } from '../../chaos/random.ts';
import { COSTS } from './costs.ts';
import { Clock, Machine, Process } from './machine.ts';
import { Postgres } from './postgres.ts';

export interface Scenario {
  readonly nodes: number;
  /** Cores that nodes, PostgreSQL, Redis and clients share, as in the benches. Otherwise each has its own. */
  readonly sharedCores?: number | undefined;
  readonly nodeCores: number;
  readonly postgresCores: number;
  readonly bus: 'NOTIFY' | 'Redis';
  /** Messages that arrive each second, or accounts that each send the next message after the result of the last one. */
  readonly load: { readonly sendsPerSecond: number } | { readonly senders: number };
  /** Connected subscribers of a conversation. */
  readonly readers: number;
  /** Share of its thread that a node uses for connections and queries. */
  readonly background: number;
  /** Default: `ROUND_TRIPS`. */
  readonly roundTrips?: number | undefined;
  readonly seconds: number;
  readonly seed: number;
}

/** Result of a simulation. `Busy` are cores. */
export interface Outcome {
  readonly sendsPerSecond: number;
  readonly messagesPerBatch: number;
  /** Of each node. */
  readonly nodeBusy: number;
  readonly postgresBusy: number;
  readonly redisBusy: number;
  /** From a send to its result, in milliseconds. */
  readonly send: Percentiles;
  /** From a send to its receipt by a subscriber, in milliseconds. */
  readonly delivery: Percentiles;
  /** Whether messages arrived faster than they were stored. */
  readonly isSaturated: boolean;
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

const MAX_BATCH = 128;
const MAX_BATCHES = 2;
/** Turns of a batch to PostgreSQL. */
export const ROUND_TRIPS = 2;
/** Share of the CPU time of a send before it is queued: parsing, authorisation, execution. */
const BEFORE_BATCH = 0.6;
const WARM_UP_US = 1e6;
/** Messages in flight at the end that do not mean saturation. */
const TOLERATED = 200;
/** Steps of a random number from 0 to 1. */
const RESOLUTION = 2 ** 30;

/** V8 marks the heap with helper threads; docs/performance.md, "Latency". */
const GC = { everyUs: 1.5e6, helpers: 4, helperUs: 27_000, pauseUs: 10_000 };
/** Share of the measured CPU time of a node that is not garbage collection, which is simulated apart. */
const WITHOUT_GC = 1 - (GC.helpers * GC.helperUs + GC.pauseUs) / GC.everyUs;

interface Message {
  readonly sentAt: number;
  readonly done: () => void;
}

interface Node {
  readonly process: Process;
  readonly machine: Machine;
  pending: Message[];
  batches: number;
  isScheduled: boolean;
  collectedAt: number;
}

/**
 * Simulates the sends and deliveries of a cluster. With shared cores, all nodes are simulated; otherwise one of them, and the
 * others are assumed to do the same.
 */
export function simulate(scenario: Scenario): Outcome {
  return new Simulation(scenario).run();
}

class Simulation {
  readonly #clock = new Clock();
  readonly #scenario: Scenario;
  readonly #random: () => number;
  readonly #nodes: Node[];
  readonly #postgres: Postgres;
  readonly #redis: Process;
  readonly #clients: readonly Process[] | undefined;
  /** Nodes that are represented by the simulated one. */
  readonly #others: number;
  readonly #postgresSendUs: number;
  readonly #roundTrips: number;
  #gcUs = 0;
  #isMeasuring = false;
  #arrived = 0;
  #completed = 0;
  #batches = 0;
  #stored = 0;
  readonly #storeTimes: number[] = [];
  readonly #sendTimes: number[] = [];
  readonly #deliveryTimes: number[] = [];

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    const { between } = createRandom(scenario.seed);
    this.#random = () => between(0, RESOLUTION - 1) / RESOLUTION;
    const { sharedCores, nodeCores, postgresCores, nodes } = scenario;
    const shared = sharedCores === undefined ? undefined : new Machine(this.#clock, sharedCores);
    const simulated = shared === undefined ? 1 : nodes;
    this.#others = nodes - simulated;
    this.#nodes = Array.from({ length: simulated }, () => {
      const machine = shared ?? new Machine(this.#clock, nodeCores);
      return {
        process: new Process(machine, COSTS.wake.value),
        machine,
        pending: [],
        batches: 0,
        isScheduled: false,
        collectedAt: 0,
      };
    });
    this.#roundTrips = scenario.roundTrips ?? ROUND_TRIPS;
    this.#postgresSendUs = COSTS.postgresSend.value + (nodes > 1 ? COSTS.postgresNodes.value : 0);
    const postgresMachine = shared ?? new Machine(this.#clock, postgresCores);
    this.#postgres = new Postgres(this.#clock, postgresMachine, this.#others, this.#random);
    this.#redis = new Process(shared ?? new Machine(this.#clock, 1));
    this.#clients = shared === undefined ? undefined : this.#nodes.map(() => new Process(shared));
  }

  run(): Outcome {
    const { load, nodes, seconds } = this.#scenario;
    for (const [index, node] of this.#nodes.entries()) {
      if (this.#scenario.background > 0) this.#keepBusy(node);
      if ('senders' in load) {
        for (let sender = index; sender < load.senders; sender += nodes) this.#sendRepeatedly(node);
      } else this.#sendAtRate(node, load.sendsPerSecond / nodes);
    }
    if (this.#others > 0 && 'sendsPerSecond' in load)
      this.#receiveAtRate((load.sendsPerSecond * this.#others) / nodes);
    this.#clock.runUntil(WARM_UP_US);
    const before = {
      busy: this.#nodeUs(),
      postgres: this.#postgres.busyUs,
      redis: this.#redis.busyUs,
      gc: this.#gcUs,
    };
    this.#isMeasuring = true;
    const measuredUs = seconds * 1e6;
    this.#clock.runUntil(WARM_UP_US + measuredUs);
    const share = this.#nodes.length / nodes;
    return {
      sendsPerSecond: this.#completed / seconds / share,
      messagesPerBatch: this.#stored / Math.max(1, this.#batches),
      nodeBusy: (this.#nodeUs() - before.busy + this.#gcUs - before.gc) / measuredUs / this.#nodes.length,
      postgresBusy: (this.#postgres.busyUs - before.postgres) / measuredUs,
      redisBusy: (this.#redis.busyUs - before.redis) / measuredUs,
      send: findPercentiles(this.#sendTimes),
      delivery: findPercentiles(this.#deliveryTimes),
      isSaturated: this.#arrived - this.#completed > 0.03 * this.#arrived + TOLERATED,
    };
  }

  #nodeUs = (): number => this.#nodes.reduce((sum, { process }) => sum + process.busyUs, 0);

  #sendAtRate(node: Node, perSecond: number): void {
    const sendNext = (): void => {
      if (this.#isMeasuring) this.#arrived += 1;
      this.#send(node, () => undefined);
      this.#clock.after((-Math.log(1 - this.#random()) * 1e6) / perSecond, sendNext);
    };
    if (perSecond > 0) this.#clock.after(this.#random() * 1_000, sendNext);
  }

  #sendRepeatedly(node: Node): void {
    const sendNext = (): void => this.#send(node, sendNext);
    sendNext();
  }

  #send(node: Node, done: () => void): void {
    const message = { sentAt: this.#clock.now, done };
    this.#runClient(node, COSTS.client.value / 2, () =>
      this.#runNode(node, COSTS.send.value * BEFORE_BATCH, () => {
        node.pending.push(message);
        this.#scheduleBatch(node);
      }),
    );
  }

  /** A batch starts at the end of the event loop turn in which its first message arrived. */
  #scheduleBatch(node: Node): void {
    if (node.isScheduled || node.batches === MAX_BATCHES || node.pending.length === 0) return;
    node.isScheduled = true;
    node.process.run(0, () => {
      node.isScheduled = false;
      const batch = node.pending.splice(0, MAX_BATCH);
      node.batches += 1;
      this.#store(node, batch, this.#roundTrips);
      this.#scheduleBatch(node);
    });
  }

  #store(node: Node, batch: readonly Message[], roundTrips: number): void {
    if (roundTrips === 0) {
      this.#finish(node, batch);
      return;
    }
    const postgresUs = (COSTS.postgresBatch.value + this.#postgresSendUs * batch.length) / this.#roundTrips;
    const next = (): void => this.#store(node, batch, roundTrips - 1);
    this.#runNode(node, COSTS.batch.value / this.#roundTrips, () =>
      this.#postgres.run(postgresUs, () => {
        if (roundTrips === 1) this.#postgres.commit(next);
        else this.#clock.after(COSTS.network.value * 1_000, next);
      }),
    );
  }

  #finish(node: Node, batch: readonly Message[]): void {
    node.batches -= 1;
    this.#batches += this.#isMeasuring ? 1 : 0;
    this.#scheduleBatch(node);
    for (const message of batch) {
      if (this.#isMeasuring) this.#stored += 1;
      this.#storeTimes[this.#stored % 1_000] = this.#clock.now - message.sentAt;
      this.#runNode(node, COSTS.send.value * (1 - BEFORE_BATCH), () =>
        this.#runClient(node, COSTS.client.value / 2, () => {
          if (this.#isMeasuring) {
            this.#completed += 1;
            this.#sendTimes.push(this.#clock.now - message.sentAt);
          }
          message.done();
        }),
      );
      this.#publish(node, message.sentAt);
    }
  }

  /** Delivers an event on its node and, through the bus, on the others. */
  #publish(node: Node, sentAt: number): void {
    const { nodes, bus, readers } = this.#scenario;
    const readersOf = this.#spreadReaders(readers);
    this.#deliver(node, readersOf(this.#nodes.indexOf(node)), sentAt);
    if (nodes === 1) return;
    this.#runNode(node, COSTS.publish.value);
    const forward = (): void =>
      this.#nodes.forEach((other, index) => {
        if (other !== node) this.#receive(other, readersOf(index), sentAt);
      });
    if (bus === 'Redis') this.#redis.run(COSTS.redis.value * (1 + this.#others), forward);
    else this.#postgres.run(COSTS.notify.value, forward);
  }

  #receive(node: Node, readers: number, sentAt: number): void {
    if (readers === 0 && this.#scenario.bus === 'Redis') return;
    const us = readers > 0 ? COSTS.receive.value : COSTS.ignore.value;
    this.#clock.after(COSTS.network.value * 1_000, () =>
      this.#runNode(node, us, () => this.#deliver(node, readers, sentAt)),
    );
  }

  /** Events of the nodes that are not simulated. They were stored as fast as those of the simulated node. */
  #receiveAtRate(perSecond: number): void {
    const [node] = this.#nodes;
    if (node === undefined) return;
    const receiveNext = (): void => {
      const storeUs = this.#storeTimes[Math.floor(this.#random() * this.#storeTimes.length)] ?? 0;
      this.#receive(node, this.#spreadReaders(this.#scenario.readers)(0), this.#clock.now - storeUs);
      this.#clock.after((-Math.log(1 - this.#random()) * 1e6) / perSecond, receiveNext);
    };
    this.#clock.after(0, receiveNext);
  }

  #deliver(node: Node, readers: number, sentAt: number): void {
    if (readers === 0) return;
    const before = Math.floor(this.#random() * readers);
    this.#runNode(node, before * COSTS.delivery.value, () => {
      if (this.#isMeasuring) this.#deliveryTimes.push(this.#clock.now - sentAt);
      this.#runClient(node, before * COSTS.clientFrame.value);
    });
    this.#runNode(node, (readers - before) * COSTS.delivery.value, () =>
      this.#runClient(node, (readers - before) * COSTS.clientFrame.value),
    );
  }

  /** Draws the node of each reader. Returns how many are on a simulated node. */
  #spreadReaders(readers: number): (index: number) => number {
    const counts = new Map<number, number>();
    for (let reader = 0; reader < readers; reader += 1) {
      const index = Math.floor(this.#random() * this.#scenario.nodes);
      counts.set(index, (counts.get(index) ?? 0) + 1);
    }
    return (index) => counts.get(index) ?? 0;
  }

  #keepBusy(node: Node): void {
    const tickUs = 10_000;
    this.#runNode(node, tickUs * this.#scenario.background);
    this.#clock.after(tickUs, () => this.#keepBusy(node));
  }

  #runNode(node: Node, us: number, done?: () => void): void {
    node.process.run(us * WITHOUT_GC, done);
    if (node.process.busyUs - node.collectedAt < GC.everyUs * WITHOUT_GC) return;
    node.collectedAt = node.process.busyUs;
    this.#gcUs += GC.helpers * GC.helperUs;
    node.process.run(GC.pauseUs);
    for (let helper = 0; helper < GC.helpers; helper += 1) new Process(node.machine).run(GC.helperUs);
  }

  #runClient(node: Node, us: number, done: () => void = () => undefined): void {
    const client = this.#clients?.[this.#nodes.indexOf(node)];
    if (client === undefined) done();
    else client.run(us, done);
  }
}

function findPercentiles(times: readonly number[]): Percentiles {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (fraction: number): number => (sorted[Math.floor(sorted.length * fraction)] ?? NaN) / 1_000;
  return { p50: at(0.5), p99: at(0.99) };
}
