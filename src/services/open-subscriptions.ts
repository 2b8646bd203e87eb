/** Open GraphQL subscriptions of one account on this node, at about 9 KB each. */
export const MAX_SUBSCRIPTIONS = 10_000;
/** Memory that the open subscriptions of one account may hold beside that: their documents and variables. */
export const MAX_SUBSCRIPTION_BYTES = 48 * 1024 * 1024;
/** Most that a parsed document takes for each character of its text. */
const DOCUMENT_BYTES_PER_CHARACTER = 200;

/** The memory that a subscription holds. */
export interface SubscriptionSize {
  /** Its parsed document. Subscriptions with the same text share one. */
  readonly document: object;
  readonly documentCharacters: number;
  /** Characters of its variables, or of its frame over a WebSocket. */
  readonly characters: number;
}

interface Held {
  count: number;
  bytes: number;
  /** The number of subscriptions by their document. */
  readonly documents: Map<object, number>;
}

/** Counts the open subscriptions of each payer, and what they hold. */
export class OpenSubscriptions {
  readonly #held = new Map<string, Held>();

  /** Adds a subscription, unless there are too many. Returns the limit that refuses it. */
  add(
    payer: string,
    { document, documentCharacters, characters }: SubscriptionSize,
    isCountLimited: boolean,
  ): 'subscriptions' | 'subscription bytes' | undefined {
    const held = this.#held.get(payer) ?? { count: 0, bytes: 0, documents: new Map<object, number>() };
    const uses = held.documents.get(document) ?? 0;
    const bytes = 2 * characters + (uses === 0 ? DOCUMENT_BYTES_PER_CHARACTER * documentCharacters : 0);
    if (isCountLimited && held.count >= MAX_SUBSCRIPTIONS) return 'subscriptions';
    if (held.bytes + bytes > MAX_SUBSCRIPTION_BYTES) return 'subscription bytes';
    held.count += 1;
    held.bytes += bytes;
    held.documents.set(document, uses + 1);
    this.#held.set(payer, held);
    return undefined;
  }

  remove(payer: string, { document, documentCharacters, characters }: SubscriptionSize): void {
    const held = this.#held.get(payer);
    if (held === undefined) return;
    const uses = (held.documents.get(document) ?? 1) - 1;
    held.count -= 1;
    held.bytes -= 2 * characters + (uses === 0 ? DOCUMENT_BYTES_PER_CHARACTER * documentCharacters : 0);
    if (uses === 0) held.documents.delete(document);
    else held.documents.set(document, uses);
    if (held.count === 0) this.#held.delete(payer);
  }
}
