import type { EventLog, LogPage, LogRange } from '../db/event-log.ts';
import type { Logger } from '../log.ts';
import type { Bus, Notice } from './bus.ts';
import { fromLog } from './event.ts';
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
      const entry = open.get(topic) ?? { source: createSource(deps, topic), users: 0 };
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
    return this.#source.position();
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

interface TailSource {
  readonly ready: Promise<boolean>;
  position(): number;
  readonly follow: (follower: Follower) => () => void;
  advance(seq: number): void;
  stop(): void;
}

function createSource({ eventLog, bus, log, onEvent }: TailDeps, topic: Topic): TailSource {
  const followers = new Set<Follower>();
  let position = 0;
  let target = 0;
  let reading = true;
  let stopped = false;
  let retry: NodeJS.Timeout | undefined;

  const tell = (say: (follower: Follower) => void): void => {
    for (const follower of followers) {
      try {
        say(follower);
      } catch (error) {
        log.error({ err: error, topic }, 'a follower of a topic threw');
      }
    }
  };

  const deliver = (envelope: Envelope): void => {
    position = envelope.seq;
    onEvent?.(envelope);
    tell((follower) => follower.event?.(envelope));
  };

  const advance = (seq: number): void => {
    target = Math.max(target, seq);
    if (!reading && position < target) void readMissing();
  };

  const listener = (notice: Notice): void => {
    if (notice.kind === 'ephemeral') tell((follower) => follower.ephemeral?.(notice.ephemeral));
    else if (notice.kind === 'event' && !reading && notice.envelope.seq === position + 1)
      deliver(notice.envelope);
    else advance(notice.kind === 'event' ? notice.envelope.seq : notice.seq);
  };

  const readPage = async (): Promise<void> => {
    const announced = target;
    const page = await eventLog.readAfter(topic, position, PAGE);
    if (stopped) return;
    const before = position;
    if (page !== undefined && page.range.trimmed > position) {
      position = page.range.trimmed;
      tell((follower) => follower.gap?.());
    }
    for (const line of page?.lines ?? []) if (line.seq === position + 1) deliver(fromLog(line));
    const head = Math.max(page?.range.head ?? 0, position);
    // What had been announced but is not in the log never will be: nothing is announced before it is committed. What
    // was announced since may be newer than this page.
    if (target === announced) target = Math.min(target, head);
    if (position === before && position < head)
      throw new Error(`The log of ${topic} has a hole after ${position}`);
  };

  /** A hole or a lost announcement: what is missing is in the log. Until it is read, newer events wait there too. */
  const readMissing = async (): Promise<void> => {
    reading = true;
    try {
      while (position < target && !stopped) await readPage();
      // No await between the last look at the target and this, or an announcement in between would be forgotten.
      reading = false;
    } catch (error) {
      if (stopped) return;
      log.warn({ err: error, topic }, 'reading the event log failed; trying again');
      retry = setTimeout(() => void readMissing(), RETRY_MS);
    }
  };

  // Listening begins before the head is read: what commits in between is either in the head or noticed as newer.
  const unsubscribe = bus.subscribe(topic, listener);
  const start = async (): Promise<boolean> => {
    const range = await eventLog.readRange(topic);
    if (range === undefined) return false;
    position = range.head;
    reading = false;
    advance(target);
    return true;
  };

  return {
    ready: start(),
    position: () => position,
    follow(follower) {
      followers.add(follower);
      return () => void followers.delete(follower);
    },
    advance,
    stop() {
      stopped = true;
      clearTimeout(retry);
      unsubscribe();
    },
  };
}
