import type { ActorRef } from '../actor.ts';
import type { LogPage } from '../db/event-log.ts';
import { isOutage, notFound, streamEnded } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import { retryDelay } from '../lib/backoff.ts';
import { BufferBudget } from '../lib/buffer-budget.ts';
import { encodeCursor, expiredCursor, invalidCursor } from './cursor.ts';
import type { Epoch } from './cursor.ts';
import { accessEndReason, approximateSize, isClientVisible, toEnvelope } from './event.ts';
import type { Envelope, Topic } from './event.ts';
import { EventBuffer, listConsecutive } from './event-buffer.ts';
import { endReasonOf, PullIterator } from './pull-iterator.ts';
import type { DetachedReader, EventStream, OnRevoke, StreamItem, StreamRequest } from './stream.ts';
import type { Tail } from './tail.ts';
import type { Follower } from './tail-source.ts';

const PAGE_SIZE = 100;
/** Page size while the connection's buffer budget is exceeded. */
const SMALL_PAGE_SIZE = 16;

/** Creates `itemOf` as a closure without the reader, because fan-out groups keep it for longer than the reader. */
const createItemOf =
  (epoch: Readonly<Epoch>): EventStream['itemOf'] =>
  ({ topic, seq, at, event }) =>
    isClientVisible(event)
      ? { type: 'event', cursor: encodeCursor(epoch.current, topic, seq), at, event }
      : undefined;

/**
 * Replays the log after `deliveredSeq`, then follows the tail:
 *
 * - replaying: `deliveredSeq` is behind `#head`. Reads pages of the log, unless `#liveBuffer` has the next event.
 * - live: from `#becomeLive`, the first time that nothing is left to read. Waits for `onEvent` to wake it.
 * - detached: the owner of the `DetachedReader` advances `deliveredSeq`; `#onRevoke` is set.
 * - ending: `#ending` or `#mustFindLastEvent`. Delivers events up to the one that ends access, then throws.
 *
 * When the log was restored, `pull` throws CURSOR_INVALID.
 *
 * Unless detached, every event passes through `pull`, which decides between the buffers, the log and waiting; `#readPage`
 * and `onEvent` only fill the buffers.
 *
 * A class instead of closures: its fields are the memory that an idle subscriber costs, and most subscribers are idle.
 */
export class StreamReader extends PullIterator<StreamItem> implements EventStream, Follower, DetachedReader {
  readonly topic: Topic;
  deliveredSeq = 0;
  readonly #epoch: Readonly<Epoch>;
  /** The epoch in which the reader's position has a meaning. */
  readonly #openedIn: string;
  readonly #actor: ActorRef;
  readonly #signal: AbortSignal | undefined;
  readonly #onClose: (() => void) | undefined;
  readonly #tail: Tail;
  readonly #budget: BufferBudget;
  readonly #pageBuffer: EventBuffer;
  readonly #liveBuffer: EventBuffer;
  #authorizedSeq = 0;
  #isLive = false;
  #ending: EndReason | undefined;
  /**
   * Set when the actor's account was deleted, until `#findLastEvent` has searched the log for the event of the deletion
   * on this topic, from the same transaction: it is delivered before the stream ends.
   */
  #mustFindLastEvent = false;
  /** Position of the event that `#findLastEvent` found, which may be ahead of the tail. */
  #lastEventSeq = 0;
  /** Consecutive reads that failed because the database was unavailable. */
  #failedReads = 0;
  #closed = false;
  /** Set while detached. */
  #onRevoke: OnRevoke | undefined;
  #wake: (() => void) | undefined;

  constructor(
    epoch: Readonly<Epoch>,
    { topic, actor, signal, budget = new BufferBudget(), onClose }: StreamRequest,
    tail: Tail,
  ) {
    super();
    this.topic = topic;
    this.#epoch = epoch;
    this.#openedIn = epoch.current;
    this.#actor = actor;
    this.#signal = signal;
    this.#onClose = onClose;
    this.#tail = tail;
    this.#budget = budget;
    this.#pageBuffer = new EventBuffer(budget);
    this.#liveBuffer = new EventBuffer(budget);
    tail.follow(this);
    signal?.addEventListener('abort', this.#abort, { once: true });
    if (signal?.aborted === true) this.#abort();
  }

  /** Starts after `startSeq`. Events up to `headAtCheck` were committed before the check of access, and do not end it. */
  start(headAtCheck: number, startSeq: number): void {
    this.#authorizedSeq = headAtCheck;
    this.deliveredSeq = startSeq;
  }

  get behind(): number {
    return Math.max(0, this.#head + this.#tail.lag - this.deliveredSeq);
  }

  get itemOf(): EventStream['itemOf'] {
    return createItemOf(this.#epoch);
  }

  sizeOf({ event }: Envelope): number {
    return approximateSize(event);
  }

  onEvent(envelope: Envelope): void {
    // Drops the event when the buffer is full: `pull` then reads it from the log.
    if (!this.#liveBuffer.isFull) this.#liveBuffer.push(envelope);
    this.#notify();
  }

  onGap(): void {
    this.#notify();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#tail.unfollow(this);
    this.#tail.close();
    this.#clearBuffers();
    this.#notify();
    this.#revoke();
    this.#onClose?.();
  }

  isCaughtUp(): boolean {
    const isOver = this.#closed || this.#mustFindLastEvent || this.#ending !== undefined;
    return this.#isLive && !isOver && this.#pageBuffer.first === undefined && this.deliveredSeq >= this.#head;
  }

  listUpcoming(limit: number): readonly StreamItem[] {
    const envelopes = listConsecutive([this.#pageBuffer, this.#liveBuffer], this.deliveredSeq, limit);
    return envelopes.flatMap((envelope) => this.itemOf(envelope) ?? []);
  }

  detach(onRevoke: OnRevoke): DetachedReader | undefined {
    if (!this.isCaughtUp()) return undefined;
    this.#tail.unfollow(this);
    // Everything buffered was delivered: it was also read from the log.
    this.#clearBuffers();
    this.#onRevoke = onRevoke;
    return this;
  }

  endsAccess({ seq, event }: Envelope): boolean {
    return seq > this.#authorizedSeq && accessEndReason(this.#actor, event) !== undefined;
  }

  advance(envelope: Envelope): boolean {
    this.#accept(envelope);
    return this.#ending === undefined;
  }

  reattach(): void {
    this.#onRevoke = undefined;
    // The tail iterates a Set: a follower added while an event is delivered receives that event as well, so none is
    // missed.
    if (!this.#closed) this.#tail.follow(this);
  }

  protected async pull(): Promise<StreamItem | undefined> {
    for (;;) {
      if (this.#closed) return undefined;
      if (this.#epoch.current !== this.#openedIn) throw invalidCursor();
      if (this.#mustFindLastEvent) {
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
      if (this.deliveredSeq < this.#head) {
        await this.#readPage();
      } else if (this.#isLive) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      } else {
        return this.#becomeLive();
      }
    }
  }

  /** Ends the replay: everything up to the head was delivered, and later events arrive through the tail. */
  #becomeLive(): StreamItem {
    this.#isLive = true;
    const cursor = encodeCursor(this.#openedIn, this.topic, this.deliveredSeq);
    return { type: 'live', cursor, at: new Date(Date.now()).toISOString() };
  }

  /** The newest known position of the topic. */
  get #head(): number {
    return Math.max(this.#tail.deliveredSeq, this.#lastEventSeq);
  }

  readonly #abort = (): void => {
    const reason = endReasonOf(this.#signal);
    if (reason === undefined) this.close();
    else if (reason === 'ACCOUNT_DELETED') this.#mustFindLastEvent = this.#ending === undefined;
    else this.#end(reason);
    this.#notify();
    this.#revoke();
  };

  #notify(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  #clearBuffers(): void {
    this.#pageBuffer.clear();
    this.#liveBuffer.clear();
  }

  #revoke(): void {
    this.#onRevoke?.(this.#mustFindLastEvent && !this.#closed);
    this.#onRevoke = undefined;
  }

  #end(reason: EndReason): void {
    this.#ending = reason;
    this.#clearBuffers();
  }

  #accept(envelope: Envelope): void {
    this.deliveredSeq = envelope.seq;
    if (this.deliveredSeq > this.#authorizedSeq)
      this.#ending ??= accessEndReason(this.#actor, envelope.event);
    if (this.#ending !== undefined) this.#mustFindLastEvent = false;
  }

  /** Returns the event after `deliveredSeq` if it is buffered. */
  #takeBuffered(): Envelope | undefined {
    const fromPage = this.#pageBuffer.shift();
    if (fromPage !== undefined) return fromPage;
    const buffer = this.#liveBuffer;
    // Events that were also read from the log.
    while (buffer.first !== undefined && buffer.first.seq <= this.deliveredSeq) buffer.shift();
    // After a gap (events dropped while the buffer was full, or not replayed yet) the first event stays buffered until
    // pages of the log have filled the gap.
    return buffer.first?.seq === this.deliveredSeq + 1 ? buffer.shift() : undefined;
  }

  async #readPage(): Promise<void> {
    const { topic, deliveredSeq } = this;
    const page = await this.#read(deliveredSeq, this.#budget.isExceeded ? SMALL_PAGE_SIZE : PAGE_SIZE);
    if (page === 'unavailable') return;
    if (page === undefined) throw notFound('The stream');
    const { range, entries } = page;
    if (deliveredSeq < range.trimmed) throw expiredCursor(encodeCursor(this.#openedIn, topic, range.trimmed));
    if (entries.length === 0) throw new Error(`The log of ${topic} has a gap after position ${deliveredSeq}`);
    if (this.#closed || this.#ending !== undefined) return;
    // Buffers as much of the page as fits; the rest is read again later.
    for (const entry of entries) {
      this.#pageBuffer.push(toEnvelope(entry));
      if (this.#pageBuffer.isFull) break;
    }
  }

  /** Searches the log for the event that ends the deleted account's access. Without one the stream ends immediately. */
  async #findLastEvent(): Promise<void> {
    let afterSeq = Math.max(this.deliveredSeq, this.#authorizedSeq);
    for (;;) {
      const page = await this.#read(afterSeq, PAGE_SIZE);
      if (page === 'unavailable') return;
      const entries = page?.entries ?? [];
      const lastEvent = entries.find(
        (entry) => accessEndReason(this.#actor, toEnvelope(entry).event) !== undefined,
      );
      this.#mustFindLastEvent = lastEvent === undefined && entries.length === PAGE_SIZE;
      if (lastEvent !== undefined) return void (this.#lastEventSeq = lastEvent.seq);
      if (!this.#mustFindLastEvent) return this.#end('ACCOUNT_DELETED');
      afterSeq = entries.at(-1)?.seq ?? afterSeq;
    }
  }

  /** Reads a page of the log. Returns `unavailable`, after a backoff delay, during an outage. */
  async #read(afterSeq: number, limit: number): Promise<LogPage | undefined | 'unavailable'> {
    try {
      const page = await this.#tail.readAfter(afterSeq, limit);
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
