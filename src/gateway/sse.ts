import type { ExecutionResult } from 'graphql';
import type { Receiver } from './fan-out.ts';
import { cursorOf } from './results.ts';
import type { ResultStream } from './results.ts';

/** What is on its way to a client before it is given nothing more. */
const MAX_WAITING_BYTES = 64 * 1024;
const HEARTBEAT_MS = 12_000;
const HEARTBEAT = ':\n\n';
const COMPLETE = 'event: complete\ndata:\n\n';

/** Takes results that many readers get, once its event stream is open. */
export interface EventStreamReceiver extends Receiver {
  open(controller: ReadableStreamDefaultController<Uint8Array>): void;
}

export function createEventStreamReceiver(): EventStreamReceiver {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  return {
    open: (opened) => void (controller = opened),
    write(result) {
      if (controller === undefined || (controller.desiredSize ?? 0) <= 0) return false;
      controller.enqueue(result.encoded(encodeNext));
      return true;
    },
  };
}

const encodeNext = (result: ExecutionResult, cursor?: string): Buffer => {
  const id = cursor === undefined ? '' : `id: ${cursor}\n`;
  return Buffer.from(`${id}event: next\ndata: ${JSON.stringify(result)}\n\n`);
};

/**
 * Writes a subscription as Server-Sent Events (GraphQL over SSE, distinct connections mode). A durable event carries
 * its cursor as `id:`, which a client that comes back sends as `Last-Event-ID`; heartbeats carry none. When the
 * server ends the stream, Yoga has turned the reason into one last result with errors.
 */
export function encodeEventStream(
  results: ResultStream,
  receiver: EventStreamReceiver | undefined,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let heartbeat: NodeJS.Timeout | undefined;
  const source: UnderlyingDefaultSource<Uint8Array> = {
    start(controller) {
      controller.enqueue(encoder.encode(HEARTBEAT));
      receiver?.open(controller);
    },
    async pull(controller) {
      // Not before somebody reads: an answer that is never sent is not cancelled either.
      heartbeat ??= setInterval(() => {
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(HEARTBEAT));
      }, HEARTBEAT_MS);
      try {
        const { frame, last } = await nextFrame(results);
        controller.enqueue(frame);
        if (!last) return;
        clearInterval(heartbeat);
        controller.close();
      } catch (error) {
        clearInterval(heartbeat);
        throw error;
      }
    },
    async cancel() {
      clearInterval(heartbeat);
      await results.return();
    },
  };
  return new ReadableStream(source, new ByteLengthQueuingStrategy({ highWaterMark: MAX_WAITING_BYTES }));
}

async function nextFrame(results: ResultStream): Promise<{ frame: Uint8Array; last: boolean }> {
  const { done, value } = await results.next();
  if (done === true) return { frame: Buffer.from(COMPLETE), last: true };
  return { frame: encodeNext(value, cursorOf(value)), last: false };
}
