import type { Db } from '../db/database.ts';
import * as eventLog from '../db/event-log.ts';
import { notFound, streamEnded } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import type { Timestamp } from '../db/tables.ts';
import { encodeCursor, expiredCursor, invalidCursor, parseCursor } from './cursor.ts';
import { endFor, fromLog } from './event.ts';
import type { ActorRef, DomainEvent, Envelope, Topic } from './event.ts';
import type { Tail, Tails } from './tail.ts';

const PAGE = 100;
const MAX_BUFFERED = 256;

/** One thing that a reader of a durable stream gets, with the place from which it can resume after it. */
export type StreamItem =
  | { readonly type: 'event'; readonly cursor: string; readonly at: Timestamp; readonly event: DomainEvent }
  | { readonly type: 'live'; readonly cursor: string; readonly at: Timestamp };

export interface StreamDeps {
  readonly db: Db;
  readonly tails: Tails;
  readonly epoch: string;
}

export interface StreamRequest {
  readonly topic: Topic;
  readonly actor: ActorRef;
  /** Resume after this cursor; null starts now. */
  readonly after: string | null;
  /** Throws unless the actor may read the topic. Called once this reader already follows it. */
  authorise(): Promise<void>;
  /** Ends the stream from outside; its reason must be an `EndReason`. */
  readonly signal?: AbortSignal | undefined;
}

/** A reader's iterator. `return()` frees it, also when nobody ever read. */
export type EventStream = AsyncIterableIterator<StreamItem, undefined> & { return(): Promise<IteratorResult<StreamItem, undefined>> };

/**
 * Opens one reader's view of a topic: the log after its cursor, then one `live` item, then what happens from then on,
 * each event exactly once and in order. A reader that does not keep up falls back to the log: its buffer is bounded,
 * its place is not lost. The stream ends by throwing, after the event that ends the actor's access.
 *
 * Throws NOT_FOUND for an unknown topic, CURSOR_INVALID, CURSOR_EXPIRED, and whatever `authorise` throws.
 */
export async function openStream(deps: StreamDeps, request: StreamRequest): Promise<EventStream> {
  const tail = await deps.tails.open(request.topic);
  if (tail === undefined) throw notFound('The stream');
  // Followed before authorisation is asked: a removal that commits in between is seen by one of the two.
  const reader = createReader(deps, request, tail);
  try {
    await request.authorise();
    if (request.after !== null) reader.startAfter(await checkedPosition(deps, request.topic, request.after));
    return reader.iterator;
  } catch (error) {
    reader.close();
    throw error;
  }
}

async function checkedPosition(deps: StreamDeps, topic: Topic, after: string): Promise<number> {
  const position = parseCursor(deps.epoch, topic, after);
  const range = await eventLog.readRange(deps.db, topic);
  if (range === undefined || position > range.head) throw invalidCursor();
  if (position < range.trimmed) throw expiredCursor(encodeCursor(deps.epoch, topic, range.trimmed));
  return position;
}

function createReader(deps: StreamDeps, request: StreamRequest, tail: Tail) {
  const { topic, actor, signal } = request;
  const authorisedAt = tail.position;
  let position = tail.position;
  let page: Envelope[] = [];
  let buffer: Envelope[] = [];
  let announced = false;
  let ending: EndReason | undefined;
  let closed = false;
  let wake: (() => void) | undefined;

  const rouse = (): void => {
    wake?.();
    wake = undefined;
  };
  const unfollow = tail.follow({
    event(envelope) {
      // A full buffer is let go whole: the log has it, and the reader returns there when it gets so far.
      if (buffer.length >= MAX_BUFFERED) buffer = [];
      buffer.push(envelope);
      rouse();
    },
    gap: rouse,
  });
  const endNow = (): void => {
    ending = signal?.reason as EndReason;
    page = [];
    buffer = [];
    rouse();
  };
  signal?.addEventListener('abort', endNow, { once: true });
  if (signal?.aborted === true) endNow();

  const close = (): void => {
    if (closed) return;
    closed = true;
    signal?.removeEventListener('abort', endNow);
    unfollow();
    tail.close();
    page = [];
    buffer = [];
    rouse();
  };

  const nextKnown = (): Envelope | undefined => {
    const fromPage = page.shift();
    if (fromPage !== undefined) return fromPage;
    while (buffer[0] !== undefined && buffer[0].seq <= position) buffer.shift();
    return buffer[0]?.seq === position + 1 ? buffer.shift() : undefined;
  };

  const readPage = async (): Promise<void> => {
    const read = await eventLog.readAfter(deps.db, topic, position, PAGE);
    if (read === undefined) throw notFound('The stream');
    if (position < read.range.trimmed) throw expiredCursor(encodeCursor(deps.epoch, topic, read.range.trimmed));
    if (!closed && ending === undefined) page = read.lines.map(fromLog);
  };

  const take = (envelope: Envelope): StreamItem => {
    position = envelope.seq;
    if (position > authorisedAt) ending ??= endFor(actor, envelope.event);
    return { type: 'event', cursor: encodeCursor(deps.epoch, topic, position), at: envelope.at, event: envelope.event };
  };

  const advance = async (): Promise<StreamItem | undefined> => {
    for (;;) {
      if (closed) return undefined;
      if (ending !== undefined) throw streamEnded(ending);
      const envelope = nextKnown();
      if (envelope !== undefined) return take(envelope);
      if (position < tail.position) {
        await readPage();
      } else if (announced) {
        await new Promise<void>((resolve) => (wake = resolve));
      } else {
        announced = true;
        return { type: 'live', cursor: encodeCursor(deps.epoch, topic, position), at: new Date().toISOString() };
      }
    }
  };

  const iterator: EventStream = {
    async next() {
      try {
        const value = await advance();
        return value === undefined ? { done: true, value } : { done: false, value };
      } catch (error) {
        close();
        throw error;
      }
    },
    async return() {
      close();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return iterator;
    },
  };
  return { iterator, close, startAfter: (from: number) => void (position = from) };
}
