import { DomainError } from '../../errors.ts';
import { namesDocument } from '../execution/requested-documents.ts';

/** Of frames whose id is not free yet; a frame weighs something, however short it is. */
const MAX_WAITING_BYTES = 1024 * 1024;
const FRAME_BYTES = 1_000;

type Handle = (text: string) => Promise<void>;

interface Operation {
  /** Resolves when the protocol has nothing more to do for it. */
  readonly over: Promise<void>;
  /** The protocol has heard of it. */
  begun: boolean;
  /** Its client wants no more of it, or was told that nothing more comes. */
  completed: boolean;
  /** It is a subscription. */
  streams: boolean;
}

/** Those with the same id. */
interface Named {
  newest: Operation | undefined;
  /** The one that the protocol has heard of. */
  begun: Operation | undefined;
}

/** The operations of one connection, as its client names them. */
export interface Operations {
  /** How many are in flight, those included that are completed and have not ended yet. */
  readonly size: number;
  /** How many of them are queries or mutations, or not known to be subscriptions yet. */
  readonly awaited: number;
  /** Hands a frame to the protocol, in its turn. */
  receive(text: string): Promise<void>;
  /** The operation is a subscription. */
  streams(id: string): void;
  /** The client is told that nothing more comes: it may use the id again. */
  ended(id: string): void;
}

/**
 * The protocol's library knows an operation by its id alone, and an id is free for another one as soon as the client
 * has completed the first. If that is still opening, it would take itself for the second, and nobody could end it: so
 * an operation waits until the former one of its id has ended. `onSettled` is called whenever one has sent its last
 * frame, or is found to be a subscription.
 */
export const createOperations = (handle: Handle, onSettled: () => void): Operations =>
  new OperationsOf(handle, onSettled);

class OperationsOf implements Operations {
  size = 0;
  awaited = 0;
  readonly #handle: Handle;
  readonly #onSettled: () => void;
  readonly #named = new Map<string, Named>();
  #waitingBytes = 0;

  constructor(handle: Handle, onSettled: () => void) {
    this.#handle = handle;
    this.#onSettled = onSettled;
  }

  receive(text: string): Promise<void> {
    const frame = read(text);
    const { type, id } = frame;
    if (typeof id !== 'string') return this.#handle(text);
    if (type === 'subscribe') return this.#subscribe(id, withQuery(frame, text));
    return type === 'complete' ? this.#complete(id, text) : this.#handle(text);
  }

  streams(id: string): void {
    const begun = this.#named.get(id)?.begun;
    if (begun === undefined || begun.streams) return;
    begun.streams = true;
    this.awaited -= 1;
    this.#onSettled();
  }

  ended(id: string): void {
    const begun = this.#named.get(id)?.begun;
    if (begun !== undefined) begun.completed = true;
  }

  async #subscribe(id: string, text: string): Promise<void> {
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const operation: Operation = { over, begun: false, completed: false, streams: false };
    const named = this.#named.get(id) ?? { newest: undefined, begun: undefined };
    this.#named.set(id, named);
    const former = named.newest;
    // While one is not completed its id is in use: the protocol closes a connection that uses it again.
    if (former === undefined || former.completed) named.newest = operation;
    this.size += 1;
    this.awaited += 1;
    try {
      if (former?.completed === true) await this.#formerOver(former, text);
      if (operation.completed) return;
      operation.begun = true;
      named.begun ??= operation;
      await this.#handle(text);
    } finally {
      this.size -= 1;
      if (!operation.streams) this.awaited -= 1;
      this.#forget(id, named, operation);
      resolve();
      this.#onSettled();
    }
  }

  async #complete(id: string, text: string): Promise<void> {
    const operation = this.#named.get(id)?.newest;
    if (operation !== undefined) operation.completed = true;
    if (operation?.begun !== false) await this.#handle(text);
  }

  #forget(id: string, named: Named, operation: Operation): void {
    if (named.newest === operation) named.newest = undefined;
    if (named.begun === operation) named.begun = undefined;
    const isUnused = named.newest === undefined && named.begun === undefined;
    if (isUnused && this.#named.get(id) === named) this.#named.delete(id);
  }

  /** Throws RATE_LIMITED when too much waits already: an id is used again faster than what it named can end. */
  async #formerOver({ over }: Operation, text: string): Promise<void> {
    const bytes = FRAME_BYTES + text.length;
    if (this.#waitingBytes + bytes > MAX_WAITING_BYTES)
      throw new DomainError('RATE_LIMITED', 'Ids are used again before their operations have ended.');
    this.#waitingBytes += bytes;
    await over;
    this.#waitingBytes -= bytes;
  }
}

interface Frame {
  readonly type?: unknown;
  readonly id?: unknown;
  readonly payload?: unknown;
}

/** The protocol's library demands a text, which a client that names a persisted operation leaves out. */
function withQuery(frame: Frame, text: string): string {
  const { payload } = frame;
  if (typeof payload !== 'object' || payload === null || !namesDocument(payload)) return text;
  return 'query' in payload && payload.query !== null
    ? text
    : JSON.stringify({ ...frame, payload: { ...payload, query: '' } });
}

/** What is no frame is refused by the protocol itself. */
function read(text: string): Frame {
  try {
    const frame: unknown = JSON.parse(text);
    return typeof frame === 'object' && frame !== null ? frame : {};
  } catch {
    return {};
  }
}
