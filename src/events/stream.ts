import type { LogRange } from '../db/event-log.ts';
import { notFound, streamEnded } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import type { Timestamp } from '../db/tables.ts';
import { createBudget } from '../budget.ts';
import type { Budget } from '../budget.ts';
import { encodeCursor, expiredCursor, invalidCursor, parseCursor } from './cursor.ts';
import { endFor, fromLog, isShown, weightOf } from './event.ts';
import type { ActorRef, DomainEvent, Envelope, Topic } from './event.ts';
import { createIterator, endReasonOf } from './iterator.ts';
import type { ReaderIterator } from './iterator.ts';
import type { Tail, Tails } from './tail.ts';
import { createWaiting } from './waiting.ts';

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
  readonly budget?: Budget | undefined;
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
  isAtRest(): boolean;
  /** What a reader of the topic is shown of an event, the same for all; undefined when nothing. */
  readonly itemOf: (envelope: Envelope) => StreamItem | undefined;
  /** How much memory an event takes, about, in bytes. */
  readonly weightOf: (envelope: Envelope) => number;
  /**
   * Lends the reader's place to one who follows the topic for many: nothing is read or waits here until it is given
   * back. Undefined unless it is at rest. `recall` is called, once, when the stream
   * is ended from outside or freed: the place must be given back at once.
   */
  lend(recall: () => void): Loan | undefined;
};

/** A reader's place in a live stream, in the hands of one who tells the reader what happens. */
export interface Loan {
  /** What the reader has got last. */
  readonly position: number;
  /** The reader has got this, the next event of the topic. False when it may get no more: then the place must be given back. */
  took(envelope: Envelope): boolean;
  /** The stream goes on after its position by itself. */
  giveBack(): void;
}

/**
 * Opens one reader's view of a topic: the log after its cursor, then one `live` item, then what happens from then on,
 * each event exactly once and in order. A reader that does not keep up falls back to the log: its buffer is bounded,
 * its place is not lost. The stream ends by throwing, after the event that ends the actor's access.
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
  const reader = createReader(deps, request, tail);
  try {
    const range = await tail.readRange();
    if (range === undefined) throw notFound('The stream');
    await request.authorise();
    reader.start(range.head, request.after === null ? range.head : positionAfter(deps, request, range));
    return reader.stream;
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

const weightOfEnvelope = ({ event }: Envelope): number => weightOf(event);

function createReader(deps: StreamDeps, request: StreamRequest, tail: Tail) {
  const { topic, actor, signal, budget = createBudget() } = request;
  const { epoch } = deps;
  const itemOf = createItemOf(epoch);
  let authorisedAt = 0;
  let position = 0;
  const page = createWaiting(budget);
  const buffer = createWaiting(budget);
  let announced = false;
  let ending: EndReason | undefined;
  /** The actor's account is gone; what that means for the topic was committed with it, and is to be shown before the end. */
  let orphaned = false;
  /** How far the log is known to reach before the tail has heard of it. */
  let known = 0;
  let closed = false;
  /** Tells who has the place that it must be given back; undefined when nobody has it. */
  let recall: (() => void) | undefined;
  let wake: (() => void) | undefined;

  const rouse = (): void => {
    wake?.();
    wake = undefined;
  };
  const drop = (): void => {
    page.clear();
    buffer.clear();
  };
  const follow = () =>
    tail.follow({
      event(envelope) {
        // What does not fit is let go: the log has it, and the reader returns there when it gets so far.
        if (!buffer.isFull) buffer.push(envelope);
        rouse();
      },
      gap: rouse,
    });
  let unfollow = follow();
  const callBack = (): void => {
    recall?.();
    recall = undefined;
  };
  const close = (): void => {
    if (closed) return;
    closed = true;
    signal?.removeEventListener('abort', abort);
    unfollow();
    tail.close();
    drop();
    rouse();
    callBack();
  };
  const end = (reason: EndReason): void => {
    ending = reason;
    drop();
  };
  const abort = (): void => {
    const reason = endReasonOf(signal);
    if (reason === undefined) close();
    else if (reason === 'ACCOUNT_DELETED') orphaned = ending === undefined;
    else end(reason);
    rouse();
    callBack();
  };
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted === true) abort();

  const nextKnown = (): Envelope | undefined => {
    const fromPage = page.shift();
    if (fromPage !== undefined) return fromPage;
    while (buffer.first !== undefined && buffer.first.seq <= position) buffer.shift();
    return buffer.first?.seq === position + 1 ? buffer.shift() : undefined;
  };

  const readPage = async (): Promise<void> => {
    const read = await tail.readAfter(position, budget.isSpent ? SMALL_PAGE : PAGE);
    if (read === undefined) throw notFound('The stream');
    if (position < read.range.trimmed) throw expiredCursor(encodeCursor(epoch, topic, read.range.trimmed));
    if (read.lines.length === 0) throw new Error(`The log of ${topic} has a hole after ${position}`);
    if (closed || ending !== undefined) return;
    // The beginning of it, as much as may wait; the rest is read again when it is its turn.
    for (const line of read.lines) {
      page.push(fromLog(line));
      if (page.isFull) break;
    }
  };

  /** Goes on to the event that ends the actor's access, if the topic has one. */
  const finish = async (): Promise<void> => {
    orphaned = false;
    let from = Math.max(position, authorisedAt);
    for (;;) {
      const read = await tail.readAfter(from, PAGE);
      const lines = read?.lines ?? [];
      const last = lines.find((line) => endFor(actor, fromLog(line).event) !== undefined);
      if (last !== undefined) return void (known = last.seq);
      if (lines.length < PAGE) return end('ACCOUNT_DELETED');
      from += lines.length;
    }
  };

  const take = (envelope: Envelope): void => {
    position = envelope.seq;
    if (position > authorisedAt) ending ??= endFor(actor, envelope.event);
  };

  const pull = async (): Promise<StreamItem | undefined> => {
    for (;;) {
      if (closed) return undefined;
      if (orphaned) {
        await finish();
        continue;
      }
      if (ending !== undefined) throw streamEnded(ending);
      const envelope = nextKnown();
      if (envelope !== undefined) {
        take(envelope);
        const item = itemOf(envelope);
        if (item !== undefined) return item;
        continue;
      }
      if (position < Math.max(tail.position, known)) {
        await readPage();
      } else if (announced) {
        await new Promise<void>((resolve) => (wake = resolve));
      } else {
        announced = true;
        return { type: 'live', cursor: encodeCursor(epoch, topic, position), at: new Date().toISOString() };
      }
    }
  };

  const isAtRest = (): boolean => {
    const isOver = closed || orphaned || ending !== undefined;
    return announced && !isOver && page.first === undefined && position >= Math.max(tail.position, known);
  };

  const lend = (whenRecalled: () => void): Loan | undefined => {
    if (!isAtRest()) return undefined;
    unfollow();
    // What waits there was in the log too, and has been read from it.
    drop();
    recall = whenRecalled;
    return {
      get position() {
        return position;
      },
      took(envelope) {
        take(envelope);
        return ending === undefined;
      },
      giveBack() {
        recall = undefined;
        // While an event is being told, whoever begins to follow is told it too: what was not taken need not be read.
        if (!closed) unfollow = follow();
      },
    };
  };

  return {
    stream: Object.assign(createIterator(pull, close), {
      topic,
      isAtRest,
      itemOf,
      weightOf: weightOfEnvelope,
      lend,
    }),
    close,
    /** Begins after a position; what ends access up to `authorised` was known when access was granted. */
    start(authorised: number, after: number): void {
      authorisedAt = authorised;
      position = after;
    },
  };
}
