import { retry } from '../lib/backoff.ts';
import { isOutage, notFound, streamEnded } from '../errors.ts';
import type { EndReason } from '../errors.ts';
import { accessEndReason } from './event.ts';
import type { Ephemeral, Topic } from './event.ts';
import { createIterator, endReasonOf } from './pull-iterator.ts';
import type { ReaderIterator } from './pull-iterator.ts';
import type { Tail, Tails } from './tail.ts';
import type { ActorRef } from '../actor.ts';

const MAX_KEPT = 256;

/** A reader's iterator over what is not kept. `return()` frees it, also when nobody ever read. */
export type EphemeralStream<Item> = ReaderIterator<Item> & { readonly topic: Topic };

export interface EphemeralRequest<Item> {
  readonly topic: Topic;
  readonly actor: ActorRef;
  /** Throws unless the actor may read the topic. Called once this reader already follows it. */
  authorise(): Promise<void>;
  /** Ends the stream from outside: with its reason when that is an `EndReason`, else as if the reader had left. */
  readonly signal?: AbortSignal | undefined;
  /** What the reader is shown of it; undefined when nothing. */
  pick(ephemeral: Ephemeral): Item | undefined;
  /** Of items with the same key only the newest waits for a slow reader. Without a key each does, up to a bound. */
  key(item: Item): string | null;
  /** Called once the reader follows the topic and is authorised. */
  begin?(): Promise<Beginning<Item>>;
}

export interface Beginning<Item> {
  /** What the reader is shown first; what happened meanwhile comes after it. */
  readonly items?: readonly Item[];
  /** Called once, when the reader is closed. */
  release?(): void;
}

/**
 * Opens one reader's view of what passes on a topic without being kept. A reader that does not keep up gets only the
 * newest item of each key; one that lets too many items without a key wait is ended with SLOW. The stream ends by
 * throwing when an event ends the actor's access. Throws NOT_FOUND for an unknown topic, and what `authorise` throws.
 */
export async function openEphemeralStream<Item>(
  deps: { readonly tails: Tails },
  request: EphemeralRequest<Item>,
): Promise<EphemeralStream<Item>> {
  const tail = await deps.tails.open(request.topic);
  if (tail === undefined) {
    // Refused in the words of what may not be known to exist.
    await request.authorise();
    throw notFound('The stream');
  }
  // Followed before authorisation is asked: a removal that commits in between is seen by one of the two.
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
  const waiting = createWaitingItems<Item>((item) => request.key(item));
  let authorisedAt = 0;
  const endings: { readonly seq: number; readonly reason: EndReason }[] = [];
  let failure: { readonly error: unknown } | undefined;
  let closed = false;
  /** How many checks of the actor's permission are in flight: nothing is delivered meanwhile. */
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
      if (item !== undefined && !waiting.add(item)) fail(streamEnded('SLOW'));
      wake();
    },
    // What was trimmed unseen may have ended the actor's access.
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
    waiting.clear();
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
      const item = checks === 0 ? waiting.take() : undefined;
      if (item !== undefined) return item;
      await new Promise<void>((resolve) => (resume = resolve));
    }
  };

  return {
    iterator: createIterator(pull, close),
    close,
    /** Begins; what ends access up to `authorised` was known when access was granted. */
    start(authorised: number, beginning: Beginning<Item>): void {
      authorisedAt = authorised;
      waiting.addFirst(beginning.items ?? []);
      release = () => beginning.release?.();
      if (closed) release();
    },
  };
}

function createWaitingItems<Item>(keyOf: (item: Item) => string | null) {
  let items = new Map<string | number, Item>();
  let keyless = 0;
  let added = 0;
  return {
    /** Answers whether there was room. */
    add(item: Item): boolean {
      const key = keyOf(item);
      if (key === null && keyless >= MAX_KEPT) return false;
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
