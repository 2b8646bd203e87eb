import type { ExecutionResult } from 'graphql';
import type { Receiver } from '../execution/fan-out-group.ts';
import { cursorOf } from '../execution/result-stream.ts';
import type { SharedResult } from '../execution/shared-results.ts';
import type { ResultStream } from '../execution/result-stream.ts';

/** High-water mark: results are read from the subscription only while fewer bytes are queued for the client. */
const MAX_QUEUED_BYTES = 64 * 1024;
const HEARTBEAT_MS = 12_000;
const HEARTBEAT = ':\n\n';
const COMPLETE = 'event: complete\ndata:\n\n';

/** Bounds of the random reconnection time, which spreads the clients of a node that stops. */
const MIN_RETRY_MS = 500;
const MAX_RETRY_MS = 3_000;

/** Writes shared results to one event stream while that is open. */
export interface EventStreamReceiver extends Receiver {
  /** Bytes queued for the client. */
  readonly queuedBytes: number;
  open(controller: ReadableStreamDefaultController<Uint8Array>): void;
  close(): void;
}

export function createEventStreamReceiver(connection: string): EventStreamReceiver {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  return {
    connection,
    get queuedBytes() {
      return controller === undefined ? 0 : MAX_QUEUED_BYTES - (controller.desiredSize ?? MAX_QUEUED_BYTES);
    },
    open: (opened) => void (controller = opened),
    close: () => void (controller = undefined),
    write(results) {
      let written = 0;
      for (const { bytes, count } of results.encoded(encodeAll)) {
        if (controller === undefined || (controller.desiredSize ?? 0) <= 0) break;
        controller.enqueue(bytes);
        written += count;
      }
      return written;
    },
  };
}

interface Chunk {
  readonly bytes: Buffer;
  /** The number of results in it. */
  readonly count: number;
}

/** Encodes results, joined up to the bytes that may be queued for a client. */
function encodeAll(results: readonly SharedResult[]): Chunk[] {
  const chunks: Chunk[] = [];
  let [events, bytes]: [Buffer[], number] = [[], 0];
  const finish = (): void => {
    chunks.push({ bytes: Buffer.concat(events, bytes), count: events.length });
    [events, bytes] = [[], 0];
  };
  for (const { result, cursor } of results) {
    const event = encodeNext(result, cursor);
    if (bytes > 0 && bytes + event.length > MAX_QUEUED_BYTES) finish();
    events.push(event);
    bytes += event.length;
  }
  finish();
  return chunks;
}

const encodeNext = (result: ExecutionResult, cursor?: string): Buffer => {
  const id = cursor === undefined ? '' : `id: ${cursor}\n`;
  return Buffer.from(`${id}event: next\ndata: ${JSON.stringify(result)}\n\n`);
};

/** Sets the reconnection time of a browser's `EventSource`; other clients ignore it and use a backoff of their own. */
export const encodeRetry = (): Buffer => {
  const ms = MIN_RETRY_MS + Math.floor(Math.random() * (MAX_RETRY_MS - MIN_RETRY_MS));
  return Buffer.from(`retry: ${ms}\n\n`);
};

/**
 * Encodes a subscription as Server-Sent Events (GraphQL over SSE, distinct connections mode). A durable event has its
 * cursor as `id:`, which a reconnecting client sends as `Last-Event-ID`; heartbeats have none. When the server ends the
 * subscription, Yoga has already turned the error into a last result, and `complete` follows. When `closeSignal` is
 * aborted, the response ends with `retry:` and without `complete`, so that the client reconnects.
 */
export function encodeEventStream(
  results: ResultStream,
  receiver: EventStreamReceiver | undefined,
  closeSignal: AbortSignal | undefined,
): ReadableStream<Uint8Array> {
  return new ReadableStream(
    new EventStreamSource(results, receiver, closeSignal),
    new ByteLengthQueuingStrategy({ highWaterMark: MAX_QUEUED_BYTES }),
  );
}

class EventStreamSource implements UnderlyingDefaultSource<Uint8Array> {
  readonly #results: ResultStream;
  readonly #receiver: EventStreamReceiver | undefined;
  readonly #closeSignal: AbortSignal | undefined;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(
    results: ResultStream,
    receiver: EventStreamReceiver | undefined,
    closeSignal: AbortSignal | undefined,
  ) {
    this.#results = results;
    this.#receiver = receiver;
    this.#closeSignal = closeSignal;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
    controller.enqueue(Buffer.from(HEARTBEAT));
    if (this.#closeSignal?.aborted === true) return this.#close();
    this.#closeSignal?.addEventListener('abort', this.#close, { once: true });
    this.#receiver?.open(controller);
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    // Started by the first pull: a response that is never sent is not cancelled either, and would leak the timer.
    this.#heartbeat ??= setInterval(() => {
      if ((controller.desiredSize ?? 0) > 0) controller.enqueue(Buffer.from(HEARTBEAT));
    }, HEARTBEAT_MS);
    try {
      const { done, value } = await this.#results.next();
      if (this.#controller === undefined) return;
      controller.enqueue(done === true ? Buffer.from(COMPLETE) : encodeNext(value, cursorOf(value)));
      if (done !== true) return;
      this.#release();
      controller.close();
    } catch (error) {
      this.#release();
      throw error;
    }
  }

  async cancel(): Promise<void> {
    this.#release();
    await this.#results.return();
  }

  readonly #close = (): void => {
    const controller = this.#controller;
    this.#receiver?.membership?.deliver();
    this.#release();
    controller?.enqueue(encodeRetry());
    controller?.close();
    void this.#results.return();
  };

  #release(): void {
    this.#controller = undefined;
    this.#receiver?.close();
    this.#closeSignal?.removeEventListener('abort', this.#close);
    clearInterval(this.#heartbeat);
  }
}
