import { retry } from '../lib/backoff.ts';
import { BufferBudget } from '../lib/buffer-budget.ts';
import { isOutage, notFound, streamEnded } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import { accessEndReason } from './event.ts';
import type { DomainEvent, Ephemeral, Topic } from './event.ts';
import { createPullIterator, endReasonOf } from './pull-iterator.ts';
import type { ReaderIterator } from './pull-iterator.ts';
import type { Tail, Tails } from './tail.ts';
import type { Follower } from './tail-source.ts';
import type { ActorRef } from '../actor.ts';

const MAX_ITEMS_WITHOUT_KEY = 256;

export type EphemeralStream<Item> = ReaderIterator<Item> & { readonly topic: Topic };

export interface EphemeralRequest<Item> {
  /** Its events end the stream. */
  readonly topic: Topic;
  /** The topic of the items. Default: the same. */
  readonly itemTopic?: Topic;
  readonly actor: ActorRef;
  /** Throws unless the actor may read the topic. Called once the stream follows the topic. */
  authorize(): Promise<void>;
  /** Aborting ends the stream: with an error if the signal's reason is an `EndReason`, else like `return()`. */
  readonly signal?: AbortSignal | undefined;
  /** Called with each event of the topic. Returns which of the buffered items are not to be delivered any more. */
  selectRevoked?(event: DomainEvent): ((item: Item) => boolean) | undefined;
  /** Maps to the reader's item; undefined to skip. */
  pick(ephemeral: Ephemeral): Item | undefined;
  /**
   * Buffered items with the same key are replaced by the newest. Items with the key null are all buffered, up to a
   * limit, and counted in bytes against the budget.
   */
  key(item: Item): string | null;
  /** Returns the approximate size of an item without a key. */
  bytesOf?(item: Item): number;
  /** Budget of the reader's connection; default: one of its own. */
  readonly budget?: BufferBudget | undefined;
  /** Called once access is granted. Opens what the stream needs, and returns what it delivers first. */
  onAuthorized?(): Promise<InitialState<Item>>;
}

export interface InitialState<Item> {
  /** Delivered before the items that arrived while the stream opened. */
  readonly items?: readonly Item[];
  /** Called once, when the stream closes. */
  release?(): void;
}

/**
 * Opens a stream of a topic's ephemeral items. A slow reader receives only the newest item of each key; with too many
 * buffered items without a key its stream ends with SLOW. The stream throws when an event ends the actor's access.
 * Throws NOT_FOUND for an unknown topic, and whatever `authorize` throws.
 */
export async function openEphemeralStream<Item>(
  deps: { readonly tails: Tails },
  request: EphemeralRequest<Item>,
): Promise<EphemeralStream<Item>> {
  const tail = await deps.tails.open(request.topic);
  if (tail === undefined) {
    // `authorize` throws the same error as for a topic the actor may not read, so that its absence is not disclosed.
    await request.authorize();
    throw notFound('The stream');
  }
  // Follows the topic before it authorises: a removal that commits in between is then either found by the check or
  // received as an event.
  const reader = createReader(request, tail, deps.tails);
  try {
    if (request.itemTopic !== undefined) await deps.tails.whenFollowed(request.itemTopic);
    const range = await tail.readRange();
    await request.authorize();
    reader.start(range?.head ?? 0, (await request.onAuthorized?.()) ?? {});
    return Object.assign(reader.iterator, { topic: request.topic });
  } catch (error) {
    reader.close();
    throw error;
  }
}

function createReader<Item>(request: EphemeralRequest<Item>, tail: Tail, tails: Tails) {
  const { actor, signal } = request;
  const buffer = createItemBuffer(request);
  /** Head of the log at the check of access. */
  let authorizedSeq = 0;
  /** Received events that end access, by position. */
  const accessEnds: { readonly seq: number; readonly reason: EndReason }[] = [];
  let failure: { readonly error: unknown } | undefined;
  let closed = false;
  /** Access checks in flight, during which nothing is delivered. */
  let pendingChecks = 0;
  let release: (() => void) | undefined;
  let resume: (() => void) | undefined;

  const wake = (): void => {
    resume?.();
    resume = undefined;
  };
  const fail = (error: unknown): void => {
    failure ??= { error };
    // Nothing is delivered after a failure.
    buffer.clear();
    wake();
  };
  const receive = (ephemeral: Ephemeral): void => {
    const item = failure === undefined ? request.pick(ephemeral) : undefined;
    if (item !== undefined && !buffer.add(item, ephemeral)) fail(streamEnded('SLOW'));
    wake();
  };
  const follower: Follower = {
    onEvent({ seq, event }) {
      const reason = accessEndReason(actor, event);
      if (reason !== undefined) accessEnds.push({ seq, reason });
      const isRevoked = request.selectRevoked?.(event);
      if (isRevoked !== undefined) buffer.drop(isRevoked);
      wake();
    },
    onEphemeral: receive,
    // A trimmed event may have ended the actor's access.
    onGap() {
      pendingChecks += 1;
      retry(() => request.authorize(), { isRetryable: isOutage, isWanted: () => !closed })
        .catch(fail)
        .finally(() => {
          pendingChecks -= 1;
          wake();
        });
    },
  };
  const { itemTopic } = request;
  const unfollowItems =
    itemTopic === undefined
      ? undefined
      : tails.onEphemeral(itemTopic, (ephemeral) => {
          if (!closed) receive(ephemeral);
        });
  tail.follow(follower);
  const close = (): void => {
    if (closed) return;
    closed = true;
    signal?.removeEventListener('abort', abort);
    unfollowItems?.();
    tail.unfollow(follower);
    tail.close();
    buffer.clear();
    release?.();
    wake();
  };
  const abort = (): void => {
    const reason = endReasonOf(signal);
    if (reason === undefined) close();
    else fail(streamEnded(reason));
  };
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted === true) abort();

  const pull = async (): Promise<Item | undefined> => {
    for (;;) {
      if (closed) return undefined;
      if (failure !== undefined) throw failure.error;
      const accessEnd = accessEnds.find(({ seq }) => seq > authorizedSeq);
      if (accessEnd !== undefined) throw streamEnded(accessEnd.reason);
      const item = pendingChecks === 0 ? buffer.take() : undefined;
      if (item !== undefined) return item;
      await new Promise<void>((resolve) => (resume = resolve));
    }
  };

  return {
    iterator: createPullIterator(pull, close),
    close,
    /** Starts delivery. Events up to `headAtCheck` were committed before the check of access, and do not end it. */
    start(headAtCheck: number, initial: InitialState<Item>): void {
      authorizedSeq = headAtCheck;
      buffer.addFirst(initial.items ?? []);
      release = () => initial.release?.();
      if (closed) release();
    },
  };
}

/** An item without a key, in the budget. Its source is what all readers of the connection buffer. */
interface Reservation {
  readonly source: object;
  readonly bytes: number;
}

/**
 * Creates a buffer that replaces items by key: items with a key are stored under it, others under a number. When the
 * budget is exceeded it still takes one item without a key, so that every stream advances.
 */
function createItemBuffer<Item>(request: Pick<EphemeralRequest<Item>, 'key' | 'bytesOf' | 'budget'>) {
  const { budget = new BufferBudget() } = request;
  let items = new Map<string | number, Item>();
  const reservations = new Map<number, Reservation>();
  let itemNumber = 0;
  const release = (key: number): void => {
    const reservation = reservations.get(key);
    reservations.delete(key);
    if (reservation !== undefined) budget.release(reservation.source, reservation.bytes);
  };
  return {
    /** Returns false when the buffer is full. */
    add(item: Item, source: object): boolean {
      const key = request.key(item);
      if (key !== null) {
        items.delete(key);
        items.set(key, item);
        return true;
      }
      const { size } = reservations;
      if (size >= MAX_ITEMS_WITHOUT_KEY || (size > 0 && budget.isExceeded)) return false;
      const bytes = request.bytesOf?.(item) ?? 0;
      budget.reserve(source, bytes);
      itemNumber += 1;
      reservations.set(itemNumber, { source, bytes });
      items.set(itemNumber, item);
      return true;
    },
    /** Puts the current states before the buffered ones, which are newer. */
    addFirst(states: readonly Item[]): void {
      const buffered = items;
      items = new Map(states.map((state) => [request.key(state) ?? (itemNumber += 1), state]));
      for (const [key, item] of buffered) {
        items.delete(key);
        items.set(key, item);
      }
    },
    drop(isDropped: (item: Item) => boolean): void {
      for (const [key, item] of items) {
        if (!isDropped(item)) continue;
        items.delete(key);
        if (typeof key === 'number') release(key);
      }
    },
    take(): Item | undefined {
      for (const [key, item] of items) {
        items.delete(key);
        if (typeof key === 'number') release(key);
        return item;
      }
      return undefined;
    },
    clear(): void {
      items.clear();
      for (const key of reservations.keys()) release(key);
    },
  };
}
