import { DomainError } from '../errors.ts';

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
}

/** The operations of one connection, as its client names them. */
export interface Operations {
  /** How many are under way, those included that are completed and have not ended yet. */
  readonly size: number;
  /** Hands a frame to the protocol, in its turn. */
  receive(text: string): Promise<void>;
  /** The client is told that nothing more comes: it may use the id again. */
  ended(id: string): void;
}

/**
 * The protocol's library knows an operation by its id alone, and an id is free for another one as soon as the client
 * has completed the first. If that is still opening, it would take itself for the second, and nobody could end it: so
 * an operation waits until the former one of its id has ended. `onIdle` is called whenever the last one under way has
 * sent its last frame.
 */
export function createOperations(handle: Handle, onIdle: () => void): Operations {
  /** The newest of each id, and the one that is begun. */
  const newest = new Map<string, Operation>();
  const begun = new Map<string, Operation>();
  let size = 0;
  let waitingBytes = 0;

  /** Throws RATE_LIMITED when too much waits already: an id is used again faster than what it named can end. */
  const formerOver = async ({ over }: Operation, text: string): Promise<void> => {
    const bytes = FRAME_BYTES + text.length;
    if (waitingBytes + bytes > MAX_WAITING_BYTES)
      throw new DomainError('RATE_LIMITED', 'Ids are used again before their operations have ended.');
    waitingBytes += bytes;
    await over;
    waitingBytes -= bytes;
  };

  const run = async (id: string, text: string, operation: Operation, former?: Operation): Promise<void> => {
    if (former?.completed === true) await formerOver(former, text);
    if (operation.completed) return;
    operation.begun = true;
    if (!begun.has(id)) begun.set(id, operation);
    await handle(text);
  };

  const subscribe = async (id: string, text: string): Promise<void> => {
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const operation: Operation = { over, begun: false, completed: false };
    const former = newest.get(id);
    // While one is not completed its id is in use: the protocol closes a connection that uses it again.
    if (former === undefined || former.completed) newest.set(id, operation);
    size += 1;
    try {
      await run(id, text, operation, former);
    } finally {
      size -= 1;
      for (const known of [newest, begun]) if (known.get(id) === operation) known.delete(id);
      resolve();
      if (size === 0) onIdle();
    }
  };

  const complete = async (id: string, text: string): Promise<void> => {
    const operation = newest.get(id);
    if (operation !== undefined) operation.completed = true;
    if (operation?.begun !== false) await handle(text);
  };

  return {
    get size() {
      return size;
    },
    receive(text) {
      const { type, id } = read(text);
      if (typeof id !== 'string') return handle(text);
      if (type === 'subscribe') return subscribe(id, text);
      return type === 'complete' ? complete(id, text) : handle(text);
    },
    ended(id) {
      const operation = begun.get(id);
      if (operation !== undefined) operation.completed = true;
    },
  };
}

/** What is no frame is refused by the protocol itself. */
function read(text: string): { readonly type?: unknown; readonly id?: unknown } {
  try {
    const frame: unknown = JSON.parse(text);
    return typeof frame === 'object' && frame !== null ? frame : {};
  } catch {
    return {};
  }
}
