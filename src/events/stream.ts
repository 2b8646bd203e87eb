import { retryDelay } from '../lib/backoff.ts';
import type { LogPage, LogRange } from '../db/event-log.ts';
import { isOutage, notFound, streamEnded } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import type { Timestamp } from '../db/tables.ts';
import { createBufferBudget } from '../lib/buffer-budget.ts';
import type { BufferBudget } from '../lib/buffer-budget.ts';
import { encodeCursor, expiredCursor, invalidCursor, parseCursor } from './cursor.ts';
import { accessEndReason, toEnvelope, isShown, approximateSize } from './event.ts';
import type { DomainEvent, Envelope, Topic } from './event.ts';
import { endReasonOf, PulledIterator } from './pull-iterator.ts';
import type { ReaderIterator } from './pull-iterator.ts';
import type { Follower, Tail, Tails } from './tail.ts';
import { createEventBuffer } from './event-buffer.ts';
import type { EventBuffer } from './event-buffer.ts';
import type { ActorRef } from '../actor.ts';

const PAGE = 100;
const SMALL_PAGE = 16;

/** One thing that a reader of a durable stream gets, with the place from which it can resume after it. */
export type StreamItem =
  | { readonly type: 'event'; readonly cursor: string; readonly at: Timestamp; readonly event: DomainEvent }
  | { readonly type: 'live'; readonly cursor: string; readonly at: Timestamp };

export interface StreamDeps {
  readonly tails: Tails;
  readonly epoch: string;
}

/** The connection over which a stream is read. */
export interface Reader {
  /** Ends the stream from outside: with its reason when that is an `EndReason`, else as if the reader had left. */
  readonly signal?: AbortSignal | undefined;
  /** What may wait for all that reads over the connection; without it the stream has one of its own. */
  readonly budget?: BufferBudget | undefined;
}

export interface StreamRequest extends Reader {
  readonly topic: Topic;
  readonly actor: ActorRef;
  /** Resume after this cursor; null starts now. */
  readonly after: string | null;
  /** Throws unless the actor may read the topic. Called once this reader already follows it. */
  authorise(): Promise<void>;
}

/** A reader's iterator. `return()` frees it, also when nobody ever read. */
export type EventStream = ReaderIterator<StreamItem> & {
  readonly topic: Topic;
  /** Whether it is live and there is nothing to read before what happens next. */
  isCaughtUp(): boolean;
  /** What a reader of the topic is shown of an event, the same for all; undefined when nothing. */
  readonly itemOf: (envelope: Envelope) => StreamItem | undefined;
  /** How much memory an event takes, about, in bytes. */
  readonly weightOf: (envelope: Envelope) => number;
  /**
   * Lends the reader's place to one who follows the topic for many: nothing is read or waits here until it is given
   * back. Undefined unless it is at rest. `recall` is called, once, when the stream
   * is ended from outside or freed: the place must be given back at once.
   */
  detach(onRevoke: () => void): Detached | undefined;
};

/** A reader's place in a live stream, in the hands of one who tells the reader what happens. */
export interface Detached {
  /** What the reader has got last. */
  readonly position: number;
  /** The reader has got this, the next event of the topic. False when it may get no more: then the place must be given back. */
  advance(envelope: Envelope): boolean;
  /** The stream goes on after its position by itself. */
  reattach(): void;
}

/**
 * Opens one reader's view of a topic: the log after its cursor, then one `live` item, then what happens from then on,
 * each event exactly once and in order. A reader that does not keep up falls back to the log: its buffer is bounded,
 * its place is not lost. While the database is unavailable the reader waits for it. The stream ends by throwing, after the event that ends the actor's access.
 *
 * Throws NOT_FOUND for an unknown topic, CURSOR_INVALID, CURSOR_EXPIRED, and whatever `authorise` throws.
 */
export async function openStream(deps: StreamDeps, request: StreamRequest): Promise<EventStream> {
  const tail = await deps.tails.open(request.topic);
  if (tail === undefined) {
    // Refused in the words of what may not be known to exist.
    await request.authorise();
    throw notFound('The stream');
  }
  // Followed before authorisation is asked: a removal that commits in between is seen by one of the two.
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

/** Holds nothing of the reader for whom it is made. */
const createItemOf =
  (epoch: string): EventStream['itemOf'] =>
  ({ topic, seq, at, event }) =>
    isShown(event) ? { type: 'event', cursor: encodeCursor(epoch, topic, seq), at, event } : undefined;

/** A class, because most of its kind rest: what they hold of memory while nothing happens is what a subscriber costs. */
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
  #announced = false;
  #ending: EndReason | undefined;
  /** The actor's account is gone; what that means for the topic was committed with it, and is to be shown before the end. */
  #orphaned = false;
  /** How far the log is known to reach before the tail has heard of it. */
  #known = 0;
  /** Reads in a row that failed because the database was unavailable. */
  #failedReads = 0;
  #closed = false;
  /** Tells who has the place that it must be given back; undefined when nobody has it. */
  #recall: (() => void) | undefined;
  #wake: (() => void) | undefined;
  #unfollow: () => void;

  constructor(
    epoch: string,
    { topic, actor, signal, budget = createBufferBudget() }: StreamRequest,
    tail: Tail,
  ) {
    super();
    this.topic = topic;
    this.#epoch = epoch;
    this.#actor = actor;
    this.#signal = signal;
    this.#tail = tail;
    this.#budget = budget;
    this.#page = createEventBuffer(budget);
    this.#buffer = createEventBuffer(budget);
    this.#unfollow = tail.follow(this);
    signal?.addEventListener('abort', this.#abort, { once: true });
    if (signal?.aborted === true) this.#abort();
  }

  /** Begins after a position; what ends access up to `authorised` was known when access was granted. */
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
    // What does not fit is let go: the log has it, and the reader returns there when it gets so far.
    if (!this.#buffer.isFull) this.#buffer.push(envelope);
    this.#rouse();
  }

  gap(): void {
    this.#rouse();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#unfollow();
    this.#tail.close();
    this.#drop();
    this.#rouse();
    this.#callBack();
  }

  isCaughtUp(): boolean {
    const isOver = this.#closed || this.#orphaned || this.#ending !== undefined;
    return this.#announced && !isOver && this.#page.first === undefined && this.position >= this.#head;
  }

  detach(whenRecalled: () => void): Detached | undefined {
    if (!this.isCaughtUp()) return undefined;
    this.#unfollow();
    // What waits there was in the log too, and has been read from it.
    this.#drop();
    this.#recall = whenRecalled;
    return this;
  }

  advance(envelope: Envelope): boolean {
    this.#take(envelope);
    return this.#ending === undefined;
  }

  reattach(): void {
    this.#recall = undefined;
    // While an event is being told, whoever begins to follow is told it too: what was not taken need not be read.
    if (!this.#closed) this.#unfollow = this.#tail.follow(this);
  }

  protected async pull(): Promise<StreamItem | undefined> {
    for (;;) {
      if (this.#closed) return undefined;
      if (this.#orphaned) {
        await this.#finish();
        continue;
      }
      if (this.#ending !== undefined) throw streamEnded(this.#ending);
      const envelope = this.#nextKnown();
      if (envelope !== undefined) {
        this.#take(envelope);
        const item = this.itemOf(envelope);
        if (item !== undefined) return item;
        continue;
      }
      if (this.position < this.#head) {
        await this.#readPage();
      } else if (this.#announced) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      } else {
        this.#announced = true;
        const cursor = encodeCursor(this.#epoch, this.topic, this.position);
        return { type: 'live', cursor, at: new Date(Date.now()).toISOString() };
      }
    }
  }

  get #head(): number {
    return Math.max(this.#tail.position, this.#known);
  }

  readonly #abort = (): void => {
    const reason = endReasonOf(this.#signal);
    if (reason === undefined) this.close();
    else if (reason === 'ACCOUNT_DELETED') this.#orphaned = this.#ending === undefined;
    else this.#end(reason);
    this.#rouse();
    this.#callBack();
  };

  #rouse(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  #drop(): void {
    this.#page.clear();
    this.#buffer.clear();
  }

  #callBack(): void {
    this.#recall?.();
    this.#recall = undefined;
  }

  #end(reason: EndReason): void {
    this.#ending = reason;
    this.#drop();
  }

  #take(envelope: Envelope): void {
    this.position = envelope.seq;
    if (this.position > this.#authorisedAt) this.#ending ??= accessEndReason(this.#actor, envelope.event);
  }

  #nextKnown(): Envelope | undefined {
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
    const { range, lines } = read;
    if (position < range.trimmed) throw expiredCursor(encodeCursor(this.#epoch, topic, range.trimmed));
    if (lines.length === 0) throw new Error(`The log of ${topic} has a hole after ${position}`);
    if (this.#closed || this.#ending !== undefined) return;
    // The beginning of it, as much as may wait; the rest is read again when it is its turn.
    for (const line of lines) {
      this.#page.push(toEnvelope(line));
      if (this.#page.isFull) break;
    }
  }

  /** Goes on to the event that ends the actor's access, if the topic has one. */
  async #finish(): Promise<void> {
    let from = Math.max(this.position, this.#authorisedAt);
    for (;;) {
      const read = await this.#read(from, PAGE);
      if (read === 'unavailable') return;
      const lines = read?.lines ?? [];
      const last = lines.find((line) => accessEndReason(this.#actor, toEnvelope(line).event) !== undefined);
      this.#orphaned = last === undefined && lines.length === PAGE;
      if (last !== undefined) return void (this.#known = last.seq);
      if (!this.#orphaned) return this.#end('ACCOUNT_DELETED');
      from = lines.at(-1)?.seq ?? from;
    }
  }

  /** A page of the log; `unavailable` after a delay when the database could not be read. */
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

  /** Waits until something wakes the reader, at most for `ms`. */
  async #sleep(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, ms).unref();
    });
    clearTimeout(timer);
  }
}
