import { retryDelay } from '../lib/backoff.ts';
import type { LogPage, LogRange } from '../db/event-log.ts';
import { isOutage, notFound, streamEnded } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import type { Timestamp } from '../db/tables.ts';
import { BufferBudget } from '../lib/buffer-budget.ts';
import { encodeCursor, expiredCursor, invalidCursor, parseCursor } from './cursor.ts';
import { accessEndReason, toEnvelope, isShown, approximateSize } from './event.ts';
import type { DomainEvent, Envelope, Topic } from './event.ts';
import { endReasonOf, PulledIterator } from './pull-iterator.ts';
import type { ReaderIterator } from './pull-iterator.ts';
import type { Follower, Tail, Tails } from './tail.ts';
import { EventBuffer } from './event-buffer.ts';
import type { ActorRef } from '../actor.ts';

const PAGE = 100;
/** Page size while the connection's buffer budget is exceeded. */
const SMALL_PAGE = 16;

/** An item of a stream, with the cursor to resume after it. `live` separates replayed events from new ones. */
export type StreamItem =
  | { readonly type: 'event'; readonly cursor: string; readonly at: Timestamp; readonly event: DomainEvent }
  | { readonly type: 'live'; readonly cursor: string; readonly at: Timestamp };

export interface StreamDeps {
  readonly tails: Tails;
  readonly epoch: string;
}

/** The connection over which a stream is read. */
export interface Reader {
  /** Aborting ends the stream: with an error if the signal's reason is an `EndReason`, else like `return()`. */
  readonly signal?: AbortSignal | undefined;
  /** Buffer budget shared by all streams of the connection. Default: one for this stream. */
  readonly budget?: BufferBudget | undefined;
}

export interface StreamRequest extends Reader {
  readonly topic: Topic;
  readonly actor: ActorRef;
  /** Cursor to resume after; null starts at the head. */
  readonly after: string | null;
  /** Throws unless the actor may read the topic. Called after this reader follows it. */
  authorise(): Promise<void>;
}

export type EventStream = ReaderIterator<StreamItem> & {
  readonly topic: Topic;
  /** Whether the stream is live and has delivered every event so far. */
  isCaughtUp(): boolean;
  /** Maps an event to the item that every reader of the topic receives; undefined for internal events. */
  readonly itemOf: (envelope: Envelope) => StreamItem | undefined;
  /** Estimates the memory of an event in bytes. */
  readonly weightOf: (envelope: Envelope) => number;
  /**
   * Detaches the reader from the tail, for a group that follows the topic on behalf of many readers: until `reattach`,
   * the stream reads and buffers nothing. Undefined unless it is caught up. `onRevoke` is called once when the stream
   * is aborted or closed while detached; the caller must then reattach immediately.
   */
  detach(onRevoke: () => void): Detached | undefined;
};

/** A detached reader: its owner delivers the events, and advances the position. */
export interface Detached {
  /** Position of the last delivered event. */
  readonly position: number;
  /** Records delivery of the next event. Returns false if it ends the reader's access: the owner must then reattach. */
  advance(envelope: Envelope): boolean;
  /** Returns the reader to the tail. The stream continues on its own after its position. */
  reattach(): void;
}

/**
 * Opens a stream of a topic: events of the log after the cursor, one `live` item, then new events, each exactly once
 * and in order. A slow reader falls back to the log when its bounded buffer overflows, and misses nothing. During an
 * outage of the database the stream waits. After an event that ends the actor's access the stream throws with the
 * reason.
 *
 * Throws NOT_FOUND for an unknown topic, CURSOR_INVALID, CURSOR_EXPIRED, and whatever `authorise` throws.
 */
export async function openStream(deps: StreamDeps, request: StreamRequest): Promise<EventStream> {
  const tail = await deps.tails.open(request.topic);
  if (tail === undefined) {
    // `authorise` throws the same error as for a topic the actor may not read, so that its absence is not disclosed.
    await request.authorise();
    throw notFound('The stream');
  }
  // Follows before it authorises: a removal that commits in between is seen by one of the two.
  const reader = new StreamReader(deps.epoch, request, tail);
  try {
    const range = await tail.readRange();
    if (range === undefined) throw notFound('The stream');
    await request.authorise();
    reader.start(range.head, request.after === null ? range.head : positionAfter(deps, request, range));
    return reader;
  } catch (error) {
    reader.close();
    throw error;
  }
}

function positionAfter(deps: StreamDeps, { topic, after }: StreamRequest, range: LogRange): number {
  const position = parseCursor(deps.epoch, topic, after ?? '');
  if (position > range.head) throw invalidCursor();
  if (position < range.trimmed) throw expiredCursor(encodeCursor(deps.epoch, topic, range.trimmed));
  return position;
}

/** Creates the mapping without a reference to the reader, because groups keep it for longer. */
const createItemOf =
  (epoch: string): EventStream['itemOf'] =>
  ({ topic, seq, at, event }) =>
    isShown(event) ? { type: 'event', cursor: encodeCursor(epoch, topic, seq), at, event } : undefined;

/**
 * Replays the log after `position`, then follows the tail:
 *
 * - replaying: `position` is behind `#head`. Reads pages of the log, unless `#buffer` has the next event.
 * - live: `#isLive`, and nothing is left to read. Waits for `event` to wake it.
 * - detached: the owner of the `Detached` advances `position`; `#onRevoke` is set.
 * - ending: `#ending` or `#isAccountDeleted`. Delivers events up to the one that ends access, then throws.
 *
 * A class, because most subscribers are idle: its fields are the memory that an idle subscriber costs.
 */
class StreamReader extends PulledIterator<StreamItem> implements EventStream, Follower, Detached {
  readonly topic: Topic;
  position = 0;
  readonly #epoch: string;
  readonly #actor: ActorRef;
  readonly #signal: AbortSignal | undefined;
  readonly #tail: Tail;
  readonly #budget: BufferBudget;
  readonly #page: EventBuffer;
  readonly #buffer: EventBuffer;
  #authorisedAt = 0;
  #isLive = false;
  #ending: EndReason | undefined;
  /**
   * The actor's account was deleted. The same transaction wrote its last events of this topic, delivered before the
   * end.
   */
  #isAccountDeleted = false;
  /** Head of the log as read by `#findLastEvent`, which may be ahead of the tail. */
  #knownHead = 0;
  /** Consecutive reads that failed because the database was unavailable. */
  #failedReads = 0;
  #closed = false;
  /** Set while detached. */
  #onRevoke: (() => void) | undefined;
  #wake: (() => void) | undefined;
  #unfollow: () => void;

  constructor(
    epoch: string,
    { topic, actor, signal, budget = new BufferBudget() }: StreamRequest,
    tail: Tail,
  ) {
    super();
    this.topic = topic;
    this.#epoch = epoch;
    this.#actor = actor;
    this.#signal = signal;
    this.#tail = tail;
    this.#budget = budget;
    this.#page = new EventBuffer(budget);
    this.#buffer = new EventBuffer(budget);
    this.#unfollow = tail.follow(this);
    signal?.addEventListener('abort', this.#abort, { once: true });
    if (signal?.aborted === true) this.#abort();
  }

  /** Starts after a position. Events up to `authorised` were committed before authorisation, and end no access. */
  start(authorised: number, after: number): void {
    this.#authorisedAt = authorised;
    this.position = after;
  }

  get itemOf(): EventStream['itemOf'] {
    return createItemOf(this.#epoch);
  }

  weightOf({ event }: Envelope): number {
    return approximateSize(event);
  }

  event(envelope: Envelope): void {
    // Drops the event when the buffer is full: `pull` finds the gap and reads the log.
    if (!this.#buffer.isFull) this.#buffer.push(envelope);
    this.#notify();
  }

  gap(): void {
    this.#notify();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#unfollow();
    this.#tail.close();
    this.#clearBuffers();
    this.#notify();
    this.#revoke();
  }

  isCaughtUp(): boolean {
    const isOver = this.#closed || this.#isAccountDeleted || this.#ending !== undefined;
    return this.#isLive && !isOver && this.#page.first === undefined && this.position >= this.#head;
  }

  detach(onRevoke: () => void): Detached | undefined {
    if (!this.isCaughtUp()) return undefined;
    this.#unfollow();
    // Buffered events are not after `position`: they were read from the log, too.
    this.#clearBuffers();
    this.#onRevoke = onRevoke;
    return this;
  }

  advance(envelope: Envelope): boolean {
    this.#accept(envelope);
    return this.#ending === undefined;
  }

  reattach(): void {
    this.#onRevoke = undefined;
    // The tail iterates a Set: a follower added while an event is delivered receives that event as well, so none is
    // missed.
    if (!this.#closed) this.#unfollow = this.#tail.follow(this);
  }

  protected async pull(): Promise<StreamItem | undefined> {
    for (;;) {
      if (this.#closed) return undefined;
      if (this.#isAccountDeleted) {
        await this.#findLastEvent();
        continue;
      }
      if (this.#ending !== undefined) throw streamEnded(this.#ending);
      const envelope = this.#takeBuffered();
      if (envelope !== undefined) {
        this.#accept(envelope);
        const item = this.itemOf(envelope);
        if (item !== undefined) return item;
        continue;
      }
      if (this.position < this.#head) {
        await this.#readPage();
      } else if (this.#isLive) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      } else {
        this.#isLive = true;
        const cursor = encodeCursor(this.#epoch, this.topic, this.position);
        return { type: 'live', cursor, at: new Date(Date.now()).toISOString() };
      }
    }
  }

  get #head(): number {
    return Math.max(this.#tail.position, this.#knownHead);
  }

  readonly #abort = (): void => {
    const reason = endReasonOf(this.#signal);
    if (reason === undefined) this.close();
    else if (reason === 'ACCOUNT_DELETED') this.#isAccountDeleted = this.#ending === undefined;
    else this.#end(reason);
    this.#notify();
    this.#revoke();
  };

  #notify(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  #clearBuffers(): void {
    this.#page.clear();
    this.#buffer.clear();
  }

  #revoke(): void {
    this.#onRevoke?.();
    this.#onRevoke = undefined;
  }

  #end(reason: EndReason): void {
    this.#ending = reason;
    this.#clearBuffers();
  }

  #accept(envelope: Envelope): void {
    this.position = envelope.seq;
    if (this.position > this.#authorisedAt) this.#ending ??= accessEndReason(this.#actor, envelope.event);
  }

  #takeBuffered(): Envelope | undefined {
    const fromPage = this.#page.shift();
    if (fromPage !== undefined) return fromPage;
    const buffer = this.#buffer;
    while (buffer.first !== undefined && buffer.first.seq <= this.position) buffer.shift();
    return buffer.first?.seq === this.position + 1 ? buffer.shift() : undefined;
  }

  async #readPage(): Promise<void> {
    const { topic, position } = this;
    const read = await this.#read(position, this.#budget.isExceeded ? SMALL_PAGE : PAGE);
    if (read === 'unavailable') return;
    if (read === undefined) throw notFound('The stream');
    const { range, entries } = read;
    if (position < range.trimmed) throw expiredCursor(encodeCursor(this.#epoch, topic, range.trimmed));
    if (entries.length === 0) throw new Error(`The log of ${topic} has a gap after position ${position}`);
    if (this.#closed || this.#ending !== undefined) return;
    // Buffers as much of the page as fits; the rest is read again later.
    for (const entry of entries) {
      this.#page.push(toEnvelope(entry));
      if (this.#page.isFull) break;
    }
  }

  /** Searches the log for the event that ends the deleted account's access. Without one the stream ends immediately. */
  async #findLastEvent(): Promise<void> {
    let from = Math.max(this.position, this.#authorisedAt);
    for (;;) {
      const read = await this.#read(from, PAGE);
      if (read === 'unavailable') return;
      const entries = read?.entries ?? [];
      const last = entries.find(
        (entry) => accessEndReason(this.#actor, toEnvelope(entry).event) !== undefined,
      );
      this.#isAccountDeleted = last === undefined && entries.length === PAGE;
      if (last !== undefined) return void (this.#knownHead = last.seq);
      if (!this.#isAccountDeleted) return this.#end('ACCOUNT_DELETED');
      from = entries.at(-1)?.seq ?? from;
    }
  }

  /** Reads a page of the log. Returns `unavailable`, after a backoff delay, during an outage. */
  async #read(position: number, limit: number): Promise<LogPage | undefined | 'unavailable'> {
    try {
      const page = await this.#tail.readAfter(position, limit);
      this.#failedReads = 0;
      return page;
    } catch (error) {
      if (!isOutage(error)) throw error;
      const delay = retryDelay(this.#failedReads);
      this.#failedReads += 1;
      await this.#sleep(delay);
      return 'unavailable';
    }
  }

  /** Waits for a wake-up, at most `ms`. */
  async #sleep(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, ms).unref();
    });
    clearTimeout(timer);
  }
}
