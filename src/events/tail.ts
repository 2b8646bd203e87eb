import type { EventLog, LogPage, LogRange } from '../db/event-log.ts';
import { Semaphore } from '../lib/semaphore.ts';
import type { Logger } from '../log.ts';
import type { Bus } from './bus.ts';
import type { Epoch } from './cursor.ts';
import { DeliveryGate } from './delivery-gate.ts';
import { isAccountTopic } from './event.ts';
import type { Envelope, Ephemeral, Topic } from './event.ts';
import { createComparison } from './log-comparison.ts';
import type { OwnAppends } from './log-comparison.ts';
import { deliverEphemeral, TailSource } from './tail-source.ts';
import type { Follower } from './tail-source.ts';

/** One reader's handle on the ordered view of a topic, which all readers of this node share. */
export interface Tail {
  readonly topic: Topic;
  /** Position of the newest event delivered to followers. */
  readonly deliveredSeq: number;
  /** Committed events that this node knows of and has not delivered to followers. */
  readonly lag: number;
  /** Returns the range of the topic's log; undefined if the topic was deleted. */
  readRange(): Promise<LogRange | undefined>;
  /** Reads events after a position, oldest first, at most `limit`. */
  readAfter(afterSeq: number, limit: number): Promise<LogPage | undefined>;
  /** Calls the follower for everything after the current position, until `unfollow`. */
  follow(follower: Follower): void;
  unfollow(follower: Follower): void;
  /** Releases the shared view, which stops with its last tail. Idempotent. */
  close(): void;
}

export interface Tails {
  /** Opens the topic's tail, at the log's head or its current position. Undefined for an unknown topic. */
  open(topic: Topic): Promise<Tail | undefined>;
  /** Resolves once notices of the topic arrive from other nodes; undefined if they already do. For listeners of `onEphemeral`. */
  whenFollowed(topic: Topic): Promise<void> | undefined;
  /** Calls the listener with the ephemeral items of a topic, which may have no log. Returns a function that ends this. */
  onEphemeral(topic: Topic, listener: (ephemeral: Ephemeral) => void): () => void;
  /**
   * Finds events whose notices the bus lost, in all that was committed since the last comparison: cheap enough for several
   * times a second. The first one, and one after a restart of the database or a long pause, compares every open topic. Once
   * it resolves, the accounts that are followed have received theirs: ends of sessions are known. Of other topics, events
   * are read from the log immediately, or if their notices may still arrive, by the next call.
   */
  compare(options?: { readonly noticesMayArrive?: boolean }): Promise<void>;
  /** Resolves once this node has delivered the event, if it follows the topic. */
  whenDelivered(topic: Topic, seq: number): Promise<void>;
  /** Whether a recent comparison shows that no end of a session was missed. Otherwise nothing is delivered. */
  readonly isCurrent: boolean;
  /** Returns how many committed events are known and not delivered yet, of the topic with the most. */
  lag(): number;
}

export interface TailDeps {
  readonly eventLog: EventLog;
  /** For the reads that deliveries wait for: on connections that do not wait for requests. Default: `eventLog`. */
  readonly controlLog?: EventLog | undefined;
  readonly epoch: Epoch;
  readonly ownAppends: OwnAppends;
  readonly bus: Bus;
  readonly log: Logger;
  /** Called with each event before the followers of this node. */
  readonly onEvent?: (envelope: Envelope) => void;
  /** How long events are delivered after a comparison with the log. Default: unlimited, for a single process. */
  readonly leaseMs?: number | undefined;
}

interface OpenSource {
  readonly topic: Topic;
  readonly source: TailSource;
  /** Number of open tails. */
  tails: number;
}

export function createTails(deps: TailDeps): Tails {
  const { controlLog = deps.eventLog, leaseMs = Infinity } = deps;
  const sources = new Map<Topic, OpenSource>();
  const accountsBehind = new Set<TailSource>();
  const accountReads = new Semaphore(1);
  /** Uses one connection, so that comparisons and the heartbeat find a free one while many accounts are behind. */
  const accountLog: EventLog = {
    ...controlLog,
    readAfter: (...range) => accountReads.run(() => controlLog.readAfter(...range)),
  };
  /** Heads that the bus has not announced yet: found since the last call of `compare`, and before. */
  let found = new Map<Topic, number>();
  let overdue = new Map<Topic, number>();
  const advanceAll = (heads: ReadonlyMap<Topic, number>): void => {
    for (const [topic, head] of heads) sources.get(topic)?.source.advance(head);
  };
  const compare = createComparison(controlLog, deps, {
    topics: () => [...sources.keys()],
    advance(topic, head) {
      const source = sources.get(topic)?.source;
      if (source === undefined || source.deliveredSeq >= head) return;
      if (isAccountTopic(topic)) source.advance(head);
      else found.set(topic, head);
    },
    async restart() {
      found.clear();
      overdue.clear();
      deps.log.warn('the database was restored: streams end, and clients must read the data again');
      await Promise.all(Array.from(sources.values(), ({ source }) => source.restart()));
    },
  });
  const gate = new DeliveryGate(leaseMs, async () => {
    await compare();
    // The other topics deliver after this comparison.
    await Promise.all([...accountsBehind].map((source) => source.caughtUp()));
  });
  const shared = { ...deps, controlLog: accountLog, gate, accountsBehind };
  const release = (entry: OpenSource): void => {
    entry.tails -= 1;
    if (entry.tails > 0) return;
    entry.source.stop();
    if (sources.get(entry.topic) === entry) sources.delete(entry.topic);
  };
  return {
    async open(topic) {
      const entry = sources.get(topic) ?? { topic, source: new TailSource(shared, topic), tails: 0 };
      sources.set(topic, entry);
      entry.tails += 1;
      try {
        if (await entry.source.ready) return new SharedTail(entry, release);
      } catch (error) {
        if (sources.get(topic) === entry) sources.delete(topic);
        release(entry);
        throw error;
      }
      release(entry);
      return undefined;
    },
    whenFollowed: (topic) => deps.bus.whenFollowed(topic),
    onEphemeral: (topic, listener) =>
      deps.bus.subscribe(
        topic,
        (notice) =>
          notice.kind === 'ephemeral' &&
          deliverEphemeral(gate, notice.ephemeral, () => listener(notice.ephemeral)),
      ),
    async compare({ noticesMayArrive = false } = {}) {
      const before = overdue;
      await gate.compare();
      advanceAll(before);
      // Otherwise another call shared the comparison, and what it found has not waited for one.
      if (overdue === before) [overdue, found] = [found, new Map()];
      if (noticesMayArrive) return;
      advanceAll(overdue);
      advanceAll(found);
    },
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
  readonly #entry: OpenSource;
  #release: ((entry: OpenSource) => void) | undefined;

  constructor(entry: OpenSource, release: (entry: OpenSource) => void) {
    this.#entry = entry;
    this.#release = release;
  }

  get topic(): Topic {
    return this.#entry.topic;
  }

  get deliveredSeq(): number {
    return this.#entry.source.deliveredSeq;
  }

  get lag(): number {
    return this.#entry.source.lag;
  }

  readRange(): Promise<LogRange | undefined> {
    return this.#entry.source.readRange();
  }

  readAfter(afterSeq: number, limit: number): Promise<LogPage | undefined> {
    return this.#entry.source.readAfter(afterSeq, limit);
  }

  follow(follower: Follower): void {
    this.#entry.source.follow(follower);
  }

  unfollow(follower: Follower): void {
    this.#entry.source.unfollow(follower);
  }

  close(): void {
    this.#release?.(this.#entry);
    this.#release = undefined;
  }
}
