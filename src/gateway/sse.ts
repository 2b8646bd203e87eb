import { cursorOf } from './results.ts';
import type { ResultStream } from './results.ts';

const HEARTBEAT_MS = 12_000;
const HEARTBEAT = ':\n\n';
const COMPLETE = 'event: complete\ndata:\n\n';

/**
 * Writes a subscription as Server-Sent Events (GraphQL over SSE, distinct connections mode). A durable event carries
 * its cursor as `id:`, which a client that comes back sends as `Last-Event-ID`; heartbeats carry none. When the
 * server ends the stream, Yoga has turned the reason into one last result with errors.
 */
export function encodeEventStream(results: ResultStream): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let heartbeat: NodeJS.Timeout | undefined;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(HEARTBEAT));
    },
    async pull(controller) {
      // Not before somebody reads: an answer that is never sent is not cancelled either.
      heartbeat ??= setInterval(() => {
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(HEARTBEAT));
      }, HEARTBEAT_MS);
      try {
        const { text, last } = await nextFrame(results);
        controller.enqueue(encoder.encode(text));
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
  });
}

async function nextFrame(results: ResultStream): Promise<{ text: string; last: boolean }> {
  const { done, value } = await results.next();
  if (done === true) return { text: COMPLETE, last: true };
  const cursor = cursorOf(value);
  const id = cursor === undefined ? '' : `id: ${cursor}\n`;
  return { text: `${id}event: next\ndata: ${JSON.stringify(value)}\n\n`, last: false };
}
