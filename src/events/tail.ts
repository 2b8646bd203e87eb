import type { EventLog, LogPage, LogRange } from '../db/event-log.ts';
import type { Logger } from '../log.ts';
import type { Bus, Notice } from './bus.ts';
import { toEnvelope } from './event.ts';
import type { Envelope, Ephemeral, Topic } from './event.ts';

const PAGE = 200;
const RETRY_MS = 500;

/** What a follower of a topic is called with, synchronously. It neither throws nor waits. */
export interface Follower {
  /** The next event: each exactly once, in order. */
  event?(envelope: Envelope): void;
  ephemeral?(ephemeral: Ephemeral): void;
  /** Events were trimmed from the log before this node had seen them: whoever needs them all has missed some. */
  gap?(): void;
}

/** The one ordered view of a topic that this node has, shared by all that follow the topic here. */
export interface Tail {
  readonly topic: Topic;
  /** The newest position handed to followers. */
  readonly position: number;
  /** How far the topic's log reaches; undefined when there is no such topic any more. */
  readRange(): Promise<LogRange | undefined>;
  /** What the log has after a position, oldest first, at most `limit` events. */
  readAfter(position: number, limit: number): Promise<LogPage | undefined>;
  /** Calls the follower for everything after the present position, until the returned function is called. */
  follow(follower: Follower): () => void;
  /** Gives the tail back; the last one to do so ends it. */
  close(): void;
}

export interface Tails {
  /** Opens the topic's tail, at the log's head or where it already is. Undefined when there is no such topic. */
  open(topic: Topic): Promise<Tail | undefined>;
  /** Compares every open tail with the log, for announcements that the bus lost. */
  compare(): Promise<void>;
  /** Returns how many committed events are known and not delivered yet, of the topic with the most. */
  lag(): number;
}

export interface TailDeps {
  readonly eventLog: EventLog;
  readonly bus: Bus;
  readonly log: Logger;
  /** Called with each event when it reaches this node's followers. */
  readonly onEvent?: (envelope: Envelope) => void;
}

interface OpenSource {
  readonly source: TailSource;
  users: number;
}

export function createTails(deps: TailDeps): Tails {
  const { eventLog } = deps;
  const open = new Map<Topic, OpenSource>();
  const giveBack = (topic: Topic, entry: OpenSource): void => {
    entry.users -= 1;
    if (entry.users > 0) return;
    entry.source.stop();
    if (open.get(topic) === entry) open.delete(topic);
  };
  return {
    async open(topic) {
      const entry = open.get(topic) ?? { source: new TailSource(deps, topic), users: 0 };
      open.set(topic, entry);
      entry.users += 1;
      try {
        if (await entry.source.ready)
          return new TailOf(topic, entry.source, eventLog, () => giveBack(topic, entry));
      } catch (error) {
        if (open.get(topic) === entry) open.delete(topic);
        giveBack(topic, entry);
        throw error;
      }
      giveBack(topic, entry);
      return undefined;
    },
    async compare() {
      const heads = await eventLog.readHeads([...open.keys()]);
      for (const [topic, { source }] of open) source.advance(heads.get(topic) ?? 0);
    },
    lag() {
      let largest = 0;
      for (const { source } of open.values()) largest = Math.max(largest, source.lag);
      return largest;
    },
  };
}

/** A class, as each stream has one. */
class TailOf implements Tail {
  readonly topic: Topic;
  readonly #source: TailSource;
  readonly #eventLog: EventLog;
  #giveBack: (() => void) | undefined;

  constructor(topic: Topic, source: TailSource, eventLog: EventLog, giveBack: () => void) {
    this.topic = topic;
    this.#source = source;
    this.#eventLog = eventLog;
    this.#giveBack = giveBack;
  }

  get position(): number {
    return this.#source.position;
  }

  readRange(): Promise<LogRange | undefined> {
    return this.#eventLog.readRange(this.topic);
  }

  readAfter(position: number, limit: number): Promise<LogPage | undefined> {
    return this.#eventLog.readAfter(this.topic, position, limit);
  }

  follow(follower: Follower): () => void {
    return this.#source.follow(follower);
  }

  close(): void {
    this.#giveBack?.();
    this.#giveBack = undefined;
  }
}

/** A class, as each account that is connected has one. */
class TailSource {
  /** Whether there is such a topic. */
  readonly ready: Promise<boolean>;
  position = 0;
  readonly #deps: TailDeps;
  readonly #topic: Topic;
  readonly #followers = new Set<Follower>();
  readonly #unsubscribe: () => void;
  #target = 0;
  #reading = true;
  #stopped = false;
  #isStarted = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(deps: TailDeps, topic: Topic) {
    this.#deps = deps;
    this.#topic = topic;
    // Listening begins before the head is read: what commits in between is either in the head or noticed as newer.
    this.#unsubscribe = deps.bus.subscribe(topic, (notice) => this.#receive(notice));
    this.ready = this.#start();
  }

  get lag(): number {
    // While the log's head is being read, the position is unknown.
    return this.#isStarted ? Math.max(0, this.#target - this.position) : 0;
  }

  follow(follower: Follower): () => void {
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }

  advance(seq: number): void {
    this.#target = Math.max(this.#target, seq);
    if (!this.#reading && this.position < this.#target) void this.#readMissing();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retry);
    this.#unsubscribe();
  }

  async #start(): Promise<boolean> {
    const range = await this.#deps.eventLog.readRange(this.#topic);
    if (range === undefined) return false;
    this.position = range.head;
    this.#isStarted = true;
    this.#reading = false;
    this.advance(this.#target);
    return true;
  }

  #receive(notice: Notice): void {
    if (notice.kind === 'ephemeral') this.#notify((follower) => follower.ephemeral?.(notice.ephemeral));
    else if (notice.kind === 'event' && !this.#reading && notice.envelope.seq === this.position + 1)
      this.#deliver(notice.envelope);
    else this.advance(notice.kind === 'event' ? notice.envelope.seq : notice.seq);
  }

  #notify(say: (follower: Follower) => void): void {
    for (const follower of this.#followers) {
      try {
        say(follower);
      } catch (error) {
        this.#deps.log.error({ err: error, topic: this.#topic }, 'a follower of a topic threw');
      }
    }
  }

  #deliver(envelope: Envelope): void {
    this.position = envelope.seq;
    this.#deps.onEvent?.(envelope);
    this.#notify((follower) => follower.event?.(envelope));
  }

  /** A hole or a lost announcement: what is missing is in the log. Until it is read, newer events wait there too. */
  async #readMissing(): Promise<void> {
    this.#reading = true;
    try {
      while (this.position < this.#target && !this.#stopped) await this.#readPage();
      // No await between the last look at the target and this, or an announcement in between would be forgotten.
      this.#reading = false;
    } catch (error) {
      if (this.#stopped) return;
      this.#deps.log.warn({ err: error, topic: this.#topic }, 'reading the event log failed; trying again');
      this.#retry = setTimeout(() => void this.#readMissing(), RETRY_MS);
    }
  }

  async #readPage(): Promise<void> {
    const announced = this.#target;
    const page = await this.#deps.eventLog.readAfter(this.#topic, this.position, PAGE);
    if (this.#stopped) return;
    const before = this.position;
    if (page !== undefined && page.range.trimmed > this.position) {
      this.position = page.range.trimmed;
      this.#notify((follower) => follower.gap?.());
    }
    for (const line of page?.lines ?? []) if (line.seq === this.position + 1) this.#deliver(toEnvelope(line));
    const head = Math.max(page?.range.head ?? 0, this.position);
    // What had been announced but is not in the log never will be: nothing is announced before it is committed. What
    // was announced since may be newer than this page.
    if (this.#target === announced) this.#target = Math.min(this.#target, head);
    if (this.position === before && this.position < head)
      throw new Error(`The log of ${this.#topic} has a hole after ${this.position}`);
  }
}
