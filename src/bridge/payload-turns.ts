import type { IncomingMessage } from 'node:http';
import { FairQueue } from '../lib/fair-queue.ts';

/** Smaller payloads are handled when they arrive. */
const MIN_BYTES = 4 * 1024;

/**
 * Lets the large payloads of polling requests end one at a time, fairly between their clients, with a turn of the event
 * loop in between: engine.io handles the up to ten thousand packets of one when its body ends.
 */
export class PayloadTurns {
  readonly #queue = new FairQueue({ concurrency: 1 });

  /** Passes a request on with `handle`, which reads its body. */
  handle(request: IncomingMessage, client: string, handle: () => void): void {
    const { 'content-length': length = Infinity } = request.headers;
    if (request.method !== 'POST' || Number(length) < MIN_BYTES) return handle();
    if (request.complete) return void this.#runInTurn(client, handle);
    const push = request.push.bind(request);
    request.push = (chunk: Buffer | null): boolean => {
      if (chunk !== null) return push(chunk);
      void this.#runInTurn(client, () => push(null));
      return false;
    };
    handle();
  }

  async #runInTurn(client: string, work: () => void): Promise<void> {
    const slot = await this.#queue.acquire(client);
    work();
    setImmediate(() => slot.release());
  }
}
