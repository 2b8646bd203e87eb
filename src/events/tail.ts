import type { EventLog, LogPage, LogRange } from '../db/event-log.ts';
import { isOutage } from '../errors.ts';
import { retry } from '../lib/backoff.ts';
import type { Logger } from '../log.ts';
import type { Bus, Notice } from './bus.ts';
import type { Epoch } from './cursor.ts';
import { DeliveryGate } from './delivery-gate.ts';
import { isAccountTopic, toEnvelope } from './event.ts';
import type { Envelope, Ephemeral, Topic } from './event.ts';
import { createComparison } from './log-comparison.ts';

const PAGE_SIZE = 200;
const RETRY_MS = 500;

/** Callbacks for a topic's tail, called synchronously. Must neither throw nor block. */
export interface Follower {
  /** Receives each event exactly once, in order. */
  onEvent?(envelope: Envelope): void;
  onEphemeral?(ephemeral: Ephemeral): void;
  /** Called when events were trimmed from the log before this node read them: the follower has missed some. */
  onGap?(): void;
}

/** One reader's handle on the ordered view of a topic, which all readers of this node share. */
export interface Tail {
  readonly topic: Topic;
  /** Position of the newest event delivered to followers. */
  readonly deliveredSeq: number;
  /** Returns the range of the topic's log; undefined if the topic was deleted. */
  readRange(): Promise<LogRange | undefined>;
  /** Reads events after a position, oldest first, at most `limit`. */
  readAfter(afterSeq: number, limit: number): Promise<LogPage | undefined>;
  /** Calls the follower for everything after the current position, until the returned function is called. */
  follow(follower: Follower): () => void;
  /** Releases the shared view, which stops with its last tail. Idempotent. */
  close(): void;
}

export interface Tails {
  /** Opens the topic's tail, at the log's head or its current position. Undefined for an unknown topic. */
  open(topic: Topic): Promise<Tail | undefined>;
  /**
   * Finds events whose notices the bus lost, in all that was committed since the last comparison: cheap enough for several
   * times a second. The first one, and one after a restart of the database or a long pause, compares every open topic. Once
   * it resolves, the accounts that are followed have received theirs: ends of sessions are known.
   */
  compare(): Promise<void>;
  /** Resolves once this node has delivered the event, if it follows the topic. */
  whenDelivered(topic: Topic, seq: number): Promise<void>;
  /** Whether a recent comparison shows that no end of a session was missed. Otherwise nothing is delivered. */
  readonly isCurrent: boolean;
  /** Returns how many committed events are known and not delivered yet, of the topic with the most. */
  lag(): number;
}

export interface TailDeps {
  readonly eventLog: EventLog;
  readonly epoch: Epoch;
  readonly bus: Bus;
  readonly log: Logger;
  /** Called with each event before the followers of this node. */
  readonly onEvent?: (envelope: Envelope) => void;
  /** How long events are delivered after a comparison with the log. Default: unlimited, for a single process. */
  readonly leaseMs?: number | undefined;
}

/** Shared by the sources of a node. */
interface SourceDeps extends TailDeps {
  readonly gate: DeliveryGate;
  /** Accounts whose missed events are being read. */
  readonly accountsBehind: Set<TailSource>;
}

interface OpenSource {
  readonly source: TailSource;
  /** Number of open tails. */
  tails: number;
}

export function createTails(deps: TailDeps): Tails {
  const { eventLog, leaseMs = Infinity } = deps;
  const sources = new Map<Topic, OpenSource>();
  const accountsBehind = new Set<TailSource>();
  const compare = createComparison(eventLog, deps.epoch, {
    topics: () => [...sources.keys()],
    advance: (topic, seq) => sources.get(topic)?.source.advance(seq),
    async restart() {
      deps.log.warn('the database was restored: streams end, and clients must read the data again');
      await Promise.all(Array.from(sources.values(), ({ source }) => source.restart()));
    },
  });
  const gate = new DeliveryGate(leaseMs, async () => {
    await compare();
    // The other topics deliver after this comparison.
    await Promise.all([...accountsBehind].map((source) => source.caughtUp()));
  });
  const shared = { ...deps, gate, accountsBehind };
  const release = (topic: Topic, entry: OpenSource): void => {
    entry.tails -= 1;
    if (entry.tails > 0) return;
    entry.source.stop();
    if (sources.get(topic) === entry) sources.delete(topic);
  };
  return {
    async open(topic) {
      const entry = sources.get(topic) ?? { source: new TailSource(shared, topic), tails: 0 };
      sources.set(topic, entry);
      entry.tails += 1;
      try {
        if (await entry.source.ready) return new SharedTail(topic, entry.source, () => release(topic, entry));
      } catch (error) {
        if (sources.get(topic) === entry) sources.delete(topic);
        release(topic, entry);
        throw error;
      }
      release(topic, entry);
      return undefined;
    },
    compare: () => gate.compare(),
    async whenDelivered(topic, seq) {
      const source = sources.get(topic)?.source;
      source?.advance(seq);
      await source?.caughtUp();
    },
    get isCurrent() {
      return gate.isOpen;
    },
    lag() {
      let largest = 0;
      for (const { source } of sources.values()) largest = Math.max(largest, source.lag);
      return largest;
    },
  };
}

/** A class instead of closures, to save memory: every stream has one. */
class SharedTail implements Tail {
  readonly topic: Topic;
  readonly #source: TailSource;
  #release: (() => void) | undefined;

  constructor(topic: Topic, source: TailSource, release: () => void) {
    this.topic = topic;
    this.#source = source;
    this.#release = release;
  }

  get deliveredSeq(): number {
    return this.#source.deliveredSeq;
  }

  readRange(): Promise<LogRange | undefined> {
    return this.#source.readRange();
  }

  readAfter(afterSeq: number, limit: number): Promise<LogPage | undefined> {
    return this.#source.readAfter(afterSeq, limit);
  }

  follow(follower: Follower): () => void {
    return this.#source.follow(follower);
  }

  close(): void {
    this.#release?.();
    this.#release = undefined;
  }
}

/**
 * Follows the bus and the log of one topic. `deliveredSeq` is the position up to which followers have received events,
 * `#announcedSeq` the highest position that a notice announced; while they differ, events are read from the log.
 */
class TailSource {
  /** Resolves to whether the topic exists. */
  readonly ready: Promise<boolean>;
  deliveredSeq = 0;
  readonly #deps: SourceDeps;
  readonly #topic: Topic;
  readonly #followers = new Set<Follower>();
  readonly #unsubscribe: () => void;
  #announcedSeq = 0;
  #isReading = true;
  /** The last read of missing events, and why it failed. */
  #reading: Promise<void> | undefined;
  #readError: unknown;
  #stopped = false;
  /** Number of restarts: what began before one must not change anything after it. */
  #run = 0;
  #isStarted = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(deps: SourceDeps, topic: Topic) {
    this.#deps = deps;
    this.#topic = topic;
    // Subscribes before it reads the head: an event that commits in between is either part of the head or announced as
    // newer.
    this.#unsubscribe = deps.bus.subscribe(topic, (notice) => this.#receive(notice));
    this.ready = this.#start();
  }

  get lag(): number {
    // Unknown until the log's head was read.
    return this.#isStarted ? Math.max(0, this.#announcedSeq - this.deliveredSeq) : 0;
  }

  readRange(): Promise<LogRange | undefined> {
    return this.#deps.eventLog.readRange(this.#topic);
  }

  async readAfter(afterSeq: number, limit: number): Promise<LogPage | undefined> {
    const page = await this.#deps.eventLog.readAfter(this.#topic, afterSeq, limit);
    if (!this.#mayDeliver()) await this.#deps.gate.pass();
    return page;
  }

  follow(follower: Follower): () => void {
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }

  advance(seq: number): void {
    this.#announcedSeq = Math.max(this.#announcedSeq, seq);
    if (this.#isReading || this.deliveredSeq >= this.#announcedSeq) return;
    if (isAccountTopic(this.#topic)) this.#deps.accountsBehind.add(this);
    this.#reading = this.#readMissing();
  }

  /** Resolves once the events announced so far are delivered. Throws when the database is unavailable. */
  async caughtUp(): Promise<void> {
    const seq = this.#announcedSeq;
    // Before its start it has no followers that rely on it: they check their access after it.
    while (this.#isStarted && !this.#stopped && this.deliveredSeq < Math.min(seq, this.#announcedSeq)) {
      const reading = this.#reading;
      await reading;
      if (this.#readError === undefined || this.#reading !== reading) continue;
      if (isOutage(this.#readError)) throw this.#readError;
      // Must not stop the deliveries of all others.
      return this.#notify((follower) => follower.onGap?.());
    }
  }

  /** Starts again at the head of a log that was restored: followers have missed what is different in it. */
  async restart(): Promise<void> {
    this.#run += 1;
    clearTimeout(this.#retry);
    this.#deps.accountsBehind.delete(this);
    this.#isStarted = false;
    this.#isReading = true;
    this.deliveredSeq = 0;
    this.#announcedSeq = 0;
    const isWanted = (): boolean => !this.#stopped;
    const range = await retry(() => this.readRange(), { isRetryable: () => true, isWanted }).catch(
      () => undefined,
    );
    if (this.#stopped) return;
    this.#startAt(range?.head ?? 0);
    this.#notify((follower) => follower.onGap?.());
  }

  stop(): void {
    this.#stopped = true;
    this.#deps.accountsBehind.delete(this);
    clearTimeout(this.#retry);
    this.#unsubscribe();
  }

  async #start(): Promise<boolean> {
    await this.#deps.bus.whenFollowed(this.#topic);
    const run = this.#run;
    const range = await this.readRange();
    if (range === undefined) return false;
    if (run === this.#run) this.#startAt(range.head);
    return true;
  }

  #startAt(head: number): void {
    this.deliveredSeq = head;
    this.#isStarted = true;
    this.#isReading = false;
    this.advance(this.#announcedSeq);
  }

  #receive(notice: Notice): void {
    if (notice.kind === 'ephemeral') this.#receiveEphemeral(notice.ephemeral);
    else if (notice.kind === 'event' && this.#isNext(notice.envelope) && this.#mayDeliver())
      this.#deliver(notice.envelope);
    else this.advance(notice.kind === 'event' ? notice.envelope.seq : notice.seq);
  }

  #isNext({ seq }: Envelope): boolean {
    return !this.#isReading && seq === this.deliveredSeq + 1;
  }

  /** Events of an account end its sessions, and wait for nothing. */
  #mayDeliver(): boolean {
    return this.#deps.gate.isOpen || isAccountTopic(this.#topic);
  }

  #receiveEphemeral(ephemeral: Ephemeral): void {
    const deliver = (): void => this.#notify((follower) => follower.onEphemeral?.(ephemeral));
    if (this.#deps.gate.isOpen) deliver();
    else this.#deps.gate.hold(ephemeral, deliver);
  }

  #notify(call: (follower: Follower) => void): void {
    for (const follower of this.#followers) {
      try {
        call(follower);
      } catch (error) {
        this.#deps.log.error({ err: error, topic: this.#topic }, 'topic follower threw');
      }
    }
  }

  #deliver(envelope: Envelope): void {
    this.deliveredSeq = envelope.seq;
    this.#deps.onEvent?.(envelope);
    this.#notify((follower) => follower.onEvent?.(envelope));
  }

  /**
   * Reads missed events from the log. Newer events that arrive during the reads only raise `#announcedSeq`, to preserve
   * the order.
   */
  async #readMissing(): Promise<void> {
    this.#isReading = true;
    this.#readError = undefined;
    const run = this.#run;
    try {
      while (this.deliveredSeq < this.#announcedSeq && !this.#stopped) {
        await this.#readPage();
        if (run !== this.#run) return;
      }
      // No await between the last check of `#announcedSeq` and this: a notice in between would start no further read.
      this.#isReading = false;
      this.#deps.accountsBehind.delete(this);
    } catch (error) {
      if (this.#stopped || run !== this.#run) return;
      this.#readError = error;
      this.#deps.log.warn({ err: error, topic: this.#topic }, 'reading the event log failed, retrying');
      this.#retry = setTimeout(() => {
        this.#reading = this.#readMissing();
      }, RETRY_MS);
    }
  }

  async #readPage(): Promise<void> {
    const announcedBefore = this.#announcedSeq;
    const run = this.#run;
    const page = await this.readAfter(this.deliveredSeq, PAGE_SIZE);
    if (this.#stopped || run !== this.#run) return;
    if (page !== undefined && page.range.trimmed > this.deliveredSeq) {
      this.deliveredSeq = page.range.trimmed;
      this.#notify((follower) => follower.onGap?.());
    }
    for (const entry of page?.entries ?? [])
      if (entry.seq === this.deliveredSeq + 1) this.#deliver(toEnvelope(entry));
    const head = Math.max(page?.range.head ?? 0, this.deliveredSeq);
    // Events are announced after their commit: one that was announced before this read and is not in the page does not
    // exist. One that was announced during the read may be newer than the page.
    if (this.#announcedSeq === announcedBefore) this.#announcedSeq = Math.min(this.#announcedSeq, head);
  }
}
