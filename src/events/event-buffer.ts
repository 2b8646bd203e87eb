import type { BufferBudget } from '../lib/buffer-budget.ts';
import { approximateSize } from './event.ts';
import type { Envelope } from './event.ts';

const MAX_BUFFERED_EVENTS = 256;
/** Each buffer may hold this much even when the budget of its connection is exceeded, so that every stream advances. */
const GUARANTEED_BYTES = 16 * 1024;

/** Events buffered for one reader, counted against the budget of its connection. */
export class EventBuffer {
  readonly #budget: BufferBudget;
  #envelopes: Envelope[] = [];
  #bytes = 0;

  constructor(budget: BufferBudget) {
    this.#budget = budget;
  }

  get first(): Envelope | undefined {
    return this.#envelopes[0];
  }

  /** The buffered events, oldest first. */
  get all(): readonly Envelope[] {
    return this.#envelopes;
  }

  get isFull(): boolean {
    return (
      this.#envelopes.length >= MAX_BUFFERED_EVENTS ||
      (this.#budget.isExceeded && this.#bytes > GUARANTEED_BYTES)
    );
  }

  push(envelope: Envelope): void {
    const size = approximateSize(envelope.event);
    this.#envelopes.push(envelope);
    this.#bytes += size;
    this.#budget.reserve(envelope, size);
  }

  shift(): Envelope | undefined {
    const first = this.#envelopes.shift();
    if (first === undefined) return undefined;
    const size = approximateSize(first.event);
    this.#bytes -= size;
    this.#budget.release(first, size);
    return first;
  }

  clear(): void {
    for (const envelope of this.#envelopes) this.#budget.release(envelope, approximateSize(envelope.event));
    this.#envelopes = [];
    this.#bytes = 0;
  }
}

/** Lists the buffered events that follow the position without a gap, at most `limit`. */
export function listConsecutive(
  buffers: readonly EventBuffer[],
  afterSeq: number,
  limit: number,
): Envelope[] {
  const listed: Envelope[] = [];
  for (const envelope of buffers.flatMap(({ all }) => all)) {
    if (listed.length === limit) break;
    if (envelope.seq === afterSeq + 1 + listed.length) listed.push(envelope);
  }
  return listed;
}
