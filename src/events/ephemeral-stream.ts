import { retry } from '../lib/backoff.ts';
import { isOutage, notFound, streamEnded } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import { accessEndReason } from './event.ts';
import type { Ephemeral, Topic } from './event.ts';
import { createIterator, endReasonOf } from './pull-iterator.ts';
import type { ReaderIterator } from './pull-iterator.ts';
import type { Tail, Tails } from './tail.ts';
import type { ActorRef } from '../actor.ts';

const MAX_KEYLESS = 256;

export type EphemeralStream<Item> = ReaderIterator<Item> & { readonly topic: Topic };

export interface EphemeralRequest<Item> {
  readonly topic: Topic;
  readonly actor: ActorRef;
  /** Throws unless the actor may read the topic. Called after this reader follows it. */
  authorise(): Promise<void>;
  /** Aborting ends the stream: with an error if the signal's reason is an `EndReason`, else like `return()`. */
  readonly signal?: AbortSignal | undefined;
  /** Maps to the reader's item; undefined to skip. */
  pick(ephemeral: Ephemeral): Item | undefined;
  /**
   * Buffered items with the same key are replaced by the newest. Items with the key null are all buffered, up to a
   * limit.
   */
  key(item: Item): string | null;
  /** Called after authorisation. */
  begin?(): Promise<Start<Item>>;
}

export interface Start<Item> {
  /** The initial state: delivered before items that arrived meanwhile. */
  readonly items?: readonly Item[];
  /** Called once, when the stream closes. */
  release?(): void;
}

/**
 * Opens a stream of a topic's ephemeral items. A slow reader receives only the newest item of each key; with too many
 * buffered items without a key its stream ends with SLOW. The stream throws when an event ends the actor's access.
 * Throws NOT_FOUND for an unknown topic, and whatever `authorise` throws.
 */
export async function openEphemeralStream<Item>(
  deps: { readonly tails: Tails },
  request: EphemeralRequest<Item>,
): Promise<EphemeralStream<Item>> {
  const tail = await deps.tails.open(request.topic);
  if (tail === undefined) {
    // `authorise` throws the same error as for a topic the actor may not read, so that its absence is not disclosed.
    await request.authorise();
    throw notFound('The stream');
  }
  // Follows before it authorises: a removal that commits in between is seen by one of the two.
  const reader = createReader(request, tail);
  try {
    const range = await tail.readRange();
    await request.authorise();
    reader.start(range?.head ?? 0, (await request.begin?.()) ?? {});
    return Object.assign(reader.iterator, { topic: request.topic });
  } catch (error) {
    reader.close();
    throw error;
  }
}

function createReader<Item>(request: EphemeralRequest<Item>, tail: Tail) {
  const { actor, signal } = request;
  const buffer = createItemBuffer<Item>((item) => request.key(item));
  let authorisedAt = 0;
  const endings: { readonly seq: number; readonly reason: EndReason }[] = [];
  let failure: { readonly error: unknown } | undefined;
  let closed = false;
  /** Access checks in flight. Nothing is delivered meanwhile. */
  let checks = 0;
  let release: (() => void) | undefined;
  let resume: (() => void) | undefined;

  const wake = (): void => {
    resume?.();
    resume = undefined;
  };
  const fail = (error: unknown): void => {
    failure ??= { error };
    wake();
  };
  const unfollow = tail.follow({
    event({ seq, event }) {
      const reason = accessEndReason(actor, event);
      if (reason !== undefined) endings.push({ seq, reason });
      wake();
    },
    ephemeral(ephemeral) {
      const item = failure === undefined ? request.pick(ephemeral) : undefined;
      if (item !== undefined && !buffer.add(item)) fail(streamEnded('SLOW'));
      wake();
    },
    // A trimmed event may have ended the actor's access.
    gap() {
      checks += 1;
      retry(() => request.authorise(), { isRetryable: isOutage, isWanted: () => !closed })
        .catch(fail)
        .finally(() => {
          checks -= 1;
          wake();
        });
    },
  });
  const close = (): void => {
    if (closed) return;
    closed = true;
    signal?.removeEventListener('abort', abort);
    unfollow();
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
      const ended = endings.find(({ seq }) => seq > authorisedAt);
      if (ended !== undefined) throw streamEnded(ended.reason);
      const item = checks === 0 ? buffer.take() : undefined;
      if (item !== undefined) return item;
      await new Promise<void>((resolve) => (resume = resolve));
    }
  };

  return {
    iterator: createIterator(pull, close),
    close,
    /** Starts delivery. Events up to `authorised` were committed before authorisation, and end no access. */
    start(authorised: number, initial: Start<Item>): void {
      authorisedAt = authorised;
      buffer.addFirst(initial.items ?? []);
      release = () => initial.release?.();
      if (closed) release();
    },
  };
}

function createItemBuffer<Item>(keyOf: (item: Item) => string | null) {
  let items = new Map<string | number, Item>();
  let keyless = 0;
  let added = 0;
  return {
    /** Returns false when the buffer is full. */
    add(item: Item): boolean {
      const key = keyOf(item);
      if (key === null && keyless >= MAX_KEYLESS) return false;
      if (key === null) keyless += 1;
      else items.delete(key);
      items.set(key ?? (added += 1), item);
      return true;
    },
    addFirst(first: readonly Item[]): void {
      const later = items;
      items = new Map();
      keyless = 0;
      for (const item of [...first, ...later.values()]) this.add(item);
    },
    take(): Item | undefined {
      for (const [key, item] of items) {
        items.delete(key);
        if (typeof key === 'number') keyless -= 1;
        return item;
      }
      return undefined;
    },
    clear(): void {
      items.clear();
      keyless = 0;
    },
  };
}
