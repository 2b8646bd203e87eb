import { DomainError } from '../../errors.ts';
import { hasDocumentId } from '../execution/document-resolver.ts';
import type { Receiver } from '../execution/fan-out-group.ts';
import type { ResultStream } from '../execution/result-stream.ts';

/** Longer ids are refused: lists of operators have them. Those of stock clients are numbers and UUIDs. */
const MAX_ID_LENGTH = 256;
/** Bounds the queued frames whose id is still in use. Each counts `FRAME_OVERHEAD_BYTES` more than its text. */
const MAX_QUEUED_BYTES = 1024 * 1024;
const FRAME_OVERHEAD_BYTES = 1_000;

/** Receives a frame parsed, a malformed one as text. */
type Handle = (frame: object | string) => Promise<void>;

/** Counts the frames that are in progress. */
export interface FrameProgress {
  /** Called once for each frame, when it is handled or its operation is an open subscription, which lasts. */
  settled(bytes: number): void;
}

interface TrackedOperation {
  /** Called when graphql-ws has finished it. */
  onFinished: (() => void) | undefined;
  /** Whether its `subscribe` frame was passed to graphql-ws. */
  isStarted: boolean;
  /** Whether its client sent `complete`, or was sent `error` or `complete`. */
  isCompleted: boolean;
  isSubscription: boolean;
  /** The results of an open subscription. */
  results: ResultStream | undefined;
  /** Writes shared results of the subscription. */
  receiver: Receiver | undefined;
  /** The size of its frame without the document, which subscriptions retain. */
  readonly retainedBytes: number;
  /** The size of its frame. */
  readonly bytes: number;
  readonly progress: FrameProgress;
}

/** The operations with one id. */
interface OperationsOfId {
  newest: TrackedOperation | undefined;
  /** The one that graphql-ws runs. */
  started: TrackedOperation | undefined;
}

/**
 * The operations of one connection by their ids. Workaround for graphql-ws 6.4.2, which tracks an operation by its id
 * alone: if a client completes an operation that is still starting and reuses the id, graphql-ws takes the first
 * operation for the second, which then can never be completed. The frame of the second is queued until the first has
 * finished.
 */
export class OperationTracker {
  /** Operations in flight, completed ones included until graphql-ws has finished them. */
  size = 0;
  /** Operations in flight that are not yet known to be subscriptions. */
  unsettledCount = 0;
  /** The size of the frames of open subscriptions, without their documents: mostly variables. */
  retainedBytes = 0;
  readonly #handle: Handle;
  readonly #onSettled: () => void;
  readonly #byId = new Map<string, OperationsOfId>();
  #queuedBytes = 0;

  /**
   * `handle` passes a frame to graphql-ws. `onSettled` is called when an operation has finished, or is known to be a
   * subscription.
   */
  constructor(handle: Handle, onSettled: () => void) {
    this.#handle = handle;
    this.#onSettled = onSettled;
  }

  /**
   * Passes a frame of the client, of so many bytes, to graphql-ws, a `subscribe` frame once its id is free. Resolves when
   * its operation has finished. Throws RATE_LIMITED, LIMIT_EXCEEDED.
   */
  receive(text: string, bytes: number, progress: FrameProgress): Promise<void> {
    const frame = parseFrame(text);
    if (typeof frame?.id === 'string' && frame.type === 'subscribe') {
      const { id } = frame;
      if (id.length > MAX_ID_LENGTH) {
        progress.settled(bytes);
        return Promise.reject(idTooLong());
      }
      const operation: TrackedOperation = {
        onFinished: undefined,
        isStarted: false,
        isCompleted: false,
        isSubscription: false,
        results: undefined,
        receiver: undefined,
        retainedBytes: bytes - documentLength(frame),
        bytes,
        progress,
      };
      return this.#subscribe(id, withQuery(frame), text.length, operation);
    }
    const handled =
      typeof frame?.id === 'string' && frame.type === 'complete'
        ? this.#complete(frame.id, frame)
        : this.#handle(frame ?? text);
    return handled.finally(() => progress.settled(bytes));
  }

  /** Marks that the operation is a subscription, with its receiver. Returns the size of what it retains of its frame. */
  markSubscription(id: string, receiver: Receiver): number {
    const started = this.#byId.get(id)?.started;
    if (started === undefined || started.isSubscription) return started?.retainedBytes ?? 0;
    started.isSubscription = true;
    started.receiver = receiver;
    started.progress.settled(started.bytes);
    this.unsettledCount -= 1;
    this.retainedBytes += started.retainedBytes;
    this.#onSettled();
    return started.retainedBytes;
  }

  /** Sets the results of a subscription that is open now. */
  setResults(id: string, results: ResultStream): void {
    const started = this.#byId.get(id)?.started;
    if (started !== undefined) started.results = results;
  }

  /** Delivers the shared results that wait for the end of the turn. */
  deliver(): void {
    for (const { started } of this.#byId.values()) started?.receiver?.membership?.deliver();
  }

  findResults(id: string): ResultStream | undefined {
    return this.#byId.get(id)?.started?.results;
  }

  /** Returns the results of the open subscriptions, by their ids. */
  *listResults(): Generator<readonly [id: string, results: ResultStream]> {
    for (const [id, { started }] of this.#byId)
      if (started?.results !== undefined) yield [id, started.results];
  }

  /** Marks that the client was sent the last frame of the operation, and so may reuse its id. */
  markCompleted(id: string): void {
    const started = this.#byId.get(id)?.started;
    if (started !== undefined) started.isCompleted = true;
  }

  async #subscribe(id: string, frame: Frame, characters: number, operation: TrackedOperation): Promise<void> {
    const entry = this.#byId.get(id) ?? { newest: undefined, started: undefined };
    this.#byId.set(id, entry);
    const previous = entry.newest;
    // An id that is not completed is in use: graphql-ws closes the connection with 4409 for the second `subscribe`.
    if (previous === undefined || previous.isCompleted) entry.newest = operation;
    this.size += 1;
    this.unsettledCount += 1;
    try {
      if (previous?.isCompleted === true) await this.#waitFor(previous, characters);
      if (operation.isCompleted) return;
      operation.isStarted = true;
      entry.started ??= operation;
      await this.#handle(frame);
    } finally {
      this.size -= 1;
      if (operation.isSubscription) this.retainedBytes -= operation.retainedBytes;
      else {
        this.unsettledCount -= 1;
        operation.progress.settled(operation.bytes);
      }
      this.#remove(id, entry, operation);
      operation.onFinished?.();
      this.#onSettled();
    }
  }

  async #complete(id: string, frame: Frame): Promise<void> {
    const operation = this.#byId.get(id)?.newest;
    if (operation !== undefined) operation.isCompleted = true;
    if (operation?.isStarted !== false) await this.#handle(frame);
  }

  #remove(id: string, entry: OperationsOfId, operation: TrackedOperation): void {
    if (entry.newest === operation) entry.newest = undefined;
    if (entry.started === operation) entry.started = undefined;
    const isUnused = entry.newest === undefined && entry.started === undefined;
    if (isUnused && this.#byId.get(id) === entry) this.#byId.delete(id);
  }

  async #waitFor(operation: TrackedOperation, characters: number): Promise<void> {
    const bytes = FRAME_OVERHEAD_BYTES + characters;
    if (this.#queuedBytes + bytes > MAX_QUEUED_BYTES)
      throw new DomainError(
        'RATE_LIMITED',
        'Operation ids are reused faster than their operations end. Use a new id for each operation.',
        { limit: 'operation ids' },
      );
    this.#queuedBytes += bytes;
    // One frame at most waits for an operation: the next one waits for that of this frame.
    await new Promise<void>((resolve) => (operation.onFinished = resolve));
    this.#queuedBytes -= bytes;
  }
}

const idTooLong = (): DomainError =>
  new DomainError('LIMIT_EXCEEDED', `The id of an operation has at most ${MAX_ID_LENGTH} characters.`, {
    limit: 'operation ids',
  });

interface Frame {
  readonly type?: unknown;
  readonly id?: unknown;
  readonly payload?: unknown;
}

/** Adds an empty `query` to a persisted operation, as graphql-ws 6.4.2 rejects a payload without one. */
function withQuery(frame: Frame): Frame {
  const { payload } = frame;
  if (typeof payload !== 'object' || payload === null || !hasDocumentId(payload)) return frame;
  return 'query' in payload && payload.query !== null
    ? frame
    : { ...frame, payload: { ...payload, query: '' } };
}

function documentLength({ payload }: Frame): number {
  const query = typeof payload === 'object' && payload !== null && 'query' in payload ? payload.query : '';
  return typeof query === 'string' ? query.length : 0;
}

/** Returns undefined for malformed text, which graphql-ws rejects itself. */
function parseFrame(text: string): Frame | undefined {
  try {
    const frame: unknown = JSON.parse(text);
    return typeof frame === 'object' && frame !== null ? frame : undefined;
  } catch {
    return undefined;
  }
}
