import type { EventLog, LogPage, LogRange } from '../db/event-log.ts';
import type { Logger } from '../log.ts';
import type { Bus, Notice } from './bus.ts';
import { toEnvelope } from './event.ts';
import type { Envelope, Ephemeral, Topic } from './event.ts';

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
  /** Compares every open tail with the log, to find events whose notices the bus lost. */
  compare(): Promise<void>;
  /** Returns how many committed events are known and not delivered yet, of the topic with the most. */
  lag(): number;
}

export interface TailDeps {
  readonly eventLog: EventLog;
  readonly bus: Bus;
  readonly log: Logger;
  /** Called with each event before the followers of this node. */
  readonly onEvent?: (envelope: Envelope) => void;
}

interface OpenSource {
  readonly source: TailSource;
  /** Number of open tails. */
  tails: number;
}

export function createTails(deps: TailDeps): Tails {
  const { eventLog } = deps;
  const sources = new Map<Topic, OpenSource>();
  const release = (topic: Topic, entry: OpenSource): void => {
    entry.tails -= 1;
    if (entry.tails > 0) return;
    entry.source.stop();
    if (sources.get(topic) === entry) sources.delete(topic);
  };
  return {
    async open(topic) {
      const entry = sources.get(topic) ?? { source: new TailSource(deps, topic), tails: 0 };
      sources.set(topic, entry);
      entry.tails += 1;
      try {
        if (await entry.source.ready)
          return new SharedTail(topic, entry.source, eventLog, () => release(topic, entry));
      } catch (error) {
        if (sources.get(topic) === entry) sources.delete(topic);
        release(topic, entry);
        throw error;
      }
      release(topic, entry);
      return undefined;
    },
    async compare() {
      const heads = await eventLog.readHeads([...sources.keys()]);
      for (const [topic, { source }] of sources) source.advance(heads.get(topic) ?? 0);
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
  readonly #eventLog: EventLog;
  #release: (() => void) | undefined;

  constructor(topic: Topic, source: TailSource, eventLog: EventLog, release: () => void) {
    this.topic = topic;
    this.#source = source;
    this.#eventLog = eventLog;
    this.#release = release;
  }

  get deliveredSeq(): number {
    return this.#source.deliveredSeq;
  }

  readRange(): Promise<LogRange | undefined> {
    return this.#eventLog.readRange(this.topic);
  }

  readAfter(afterSeq: number, limit: number): Promise<LogPage | undefined> {
    return this.#eventLog.readAfter(this.topic, afterSeq, limit);
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
  readonly #deps: TailDeps;
  readonly #topic: Topic;
  readonly #followers = new Set<Follower>();
  readonly #unsubscribe: () => void;
  #announcedSeq = 0;
  #reading = true;
  #stopped = false;
  #isStarted = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(deps: TailDeps, topic: Topic) {
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

  follow(follower: Follower): () => void {
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }

  advance(seq: number): void {
    this.#announcedSeq = Math.max(this.#announcedSeq, seq);
    if (!this.#reading && this.deliveredSeq < this.#announcedSeq) void this.#readMissing();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retry);
    this.#unsubscribe();
  }

  async #start(): Promise<boolean> {
    const range = await this.#deps.eventLog.readRange(this.#topic);
    if (range === undefined) return false;
    this.deliveredSeq = range.head;
    this.#isStarted = true;
    this.#reading = false;
    this.advance(this.#announcedSeq);
    return true;
  }

  #receive(notice: Notice): void {
    if (notice.kind === 'ephemeral') this.#notify((follower) => follower.onEphemeral?.(notice.ephemeral));
    else if (notice.kind === 'event' && !this.#reading && notice.envelope.seq === this.deliveredSeq + 1)
      this.#deliver(notice.envelope);
    else this.advance(notice.kind === 'event' ? notice.envelope.seq : notice.seq);
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
    this.#reading = true;
    try {
      while (this.deliveredSeq < this.#announcedSeq && !this.#stopped) await this.#readPage();
      // No await between the last check of `#announcedSeq` and this: a notice in between would start no further read.
      this.#reading = false;
    } catch (error) {
      if (this.#stopped) return;
      this.#deps.log.warn({ err: error, topic: this.#topic }, 'reading the event log failed, retrying');
      this.#retry = setTimeout(() => void this.#readMissing(), RETRY_MS);
    }
  }

  async #readPage(): Promise<void> {
    const announcedBefore = this.#announcedSeq;
    const page = await this.#deps.eventLog.readAfter(this.#topic, this.deliveredSeq, PAGE_SIZE);
    if (this.#stopped) return;
    const before = this.deliveredSeq;
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
    if (this.deliveredSeq === before && this.deliveredSeq < head)
      throw new Error(`The log of ${this.#topic} has a gap after position ${this.deliveredSeq}`);
  }
}
