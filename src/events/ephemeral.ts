import type { ActorRef, Ephemeral, Topic } from './event.ts';
import type { Tails } from './tail.ts';

/** A reader's iterator over what is not kept. `return()` frees it, also when nobody ever read. */
export type EphemeralStream<Item> = AsyncIterableIterator<Item, undefined> & {
  return(): Promise<IteratorResult<Item, undefined>>;
};

export interface EphemeralRequest<Item> {
  readonly topic: Topic;
  readonly actor: ActorRef;
  /** Throws unless the actor may read the topic. Called once this reader already follows it. */
  authorise(): Promise<void>;
  /** Ends the stream from outside; its reason must be an `EndReason`. */
  readonly signal?: AbortSignal | undefined;
  /** What the reader is shown of it; undefined when nothing. */
  pick(ephemeral: Ephemeral): Item | undefined;
  /** Of items with the same key only the newest waits for a slow reader; null keeps each. */
  key(item: Item): string | null;
  /** What the reader is shown first, asked for once it follows the topic: what happens meanwhile comes after it. */
  initial?(): Promise<readonly Item[]>;
}

export async function openEphemeralStream<Item>(
  deps: { readonly tails: Tails },
  request: EphemeralRequest<Item>,
): Promise<EphemeralStream<Item>> {
  throw new Error(`not written: ${String([deps, request])}`);
}
