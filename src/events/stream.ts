import type { ActorRef } from '../actor.ts';
import type { Timestamp } from '../db/tables.ts';
import type { BufferBudget } from '../lib/buffer-budget.ts';
import type { DomainEvent, Envelope, Topic } from './event.ts';
import type { ReaderIterator } from './pull-iterator.ts';

/** An item of a stream, with the cursor to resume after it. `live` separates replayed events from new ones. */
export type StreamItem =
  | { readonly type: 'event'; readonly cursor: string; readonly at: Timestamp; readonly event: DomainEvent }
  | { readonly type: 'live'; readonly cursor: string; readonly at: Timestamp };

/** Lists the items that follow the current one, at most `limit`. */
export type ListUpcoming = (limit: number) => readonly StreamItem[];

/** The connection's part of a stream request. */
export interface ReaderOptions {
  /** Aborting ends the stream: with an error if the signal's reason is an `EndReason`, else like `return()`. */
  readonly signal?: AbortSignal | undefined;
  /** Buffer budget shared by all streams of the connection. Default: one for this stream. */
  readonly budget?: BufferBudget | undefined;
}

export interface StreamRequest extends ReaderOptions {
  readonly topic: Topic;
  readonly actor: ActorRef;
  /** Cursor to resume after; null starts at the head. */
  readonly after: string | null;
  /** Throws unless the actor may read the topic. Called once the stream follows the topic. */
  authorize(): Promise<void>;
  /** Called once when the stream closes, however it ends. */
  readonly onClose?: (() => void) | undefined;
}

export type EventStream = ReaderIterator<StreamItem> & {
  readonly topic: Topic;
  /** Committed events that this node knows of and the stream has not delivered. */
  readonly behind: number;
  /** Whether the stream is live and has delivered every event so far. */
  isCaughtUp(): boolean;
  /** Lists what is buffered to follow the newest item. The stream may end before it is delivered. */
  readonly listUpcoming: ListUpcoming;
  /** Maps an event to the item that every reader of the topic receives; undefined for internal events. */
  readonly itemOf: (envelope: Envelope) => StreamItem | undefined;
  /** Estimates the memory of an event in bytes. */
  readonly sizeOf: (envelope: Envelope) => number;
  /**
   * Detaches the reader from the tail, for a fan-out group that follows the topic for many readers: until `reattach`,
   * the stream reads and buffers nothing. Undefined unless it is caught up. `onRevoke` is called once when the stream
   * is aborted or closed while detached; the caller must then reattach immediately.
   */
  detach(onRevoke: OnRevoke): DetachedReader | undefined;
};

/** `awaitsLastEvent` if the account was deleted: the events that are known and not delivered yet may still be delivered. */
export type OnRevoke = (awaitsLastEvent: boolean) => void;

/** A reader that is detached from the tail: its owner delivers the events, and reports each delivery. */
export interface DetachedReader {
  /** Position of the newest delivered event. */
  readonly deliveredSeq: number;
  /** Whether the event ends the reader's access: it is then the last one to deliver. */
  endsAccess(envelope: Envelope): boolean;
  /** Records delivery of the next event. Returns false if it ends the reader's access: the owner must then reattach. */
  advance(envelope: Envelope): boolean;
  /** Returns the reader to the tail. The stream continues on its own after its position. */
  reattach(): void;
}
