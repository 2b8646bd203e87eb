import type { BufferBudget } from '../lib/buffer-budget.ts';
import { approximateSize } from './event.ts';
import type { Envelope } from './event.ts';

const MAX_BUFFERED = 256;
/** What may wait for each stream when the budget of its connection is spent. */
const OWN_BYTES = 16 * 1024;

/** Events that wait in memory for one reader. */
export interface EventBuffer {
  readonly first: Envelope | undefined;
  readonly isFull: boolean;
  push(envelope: Envelope): void;
  shift(): Envelope | undefined;
  clear(): void;
}

export const createEventBuffer = (budget: BufferBudget): EventBuffer => new WaitingFor(budget);

class WaitingFor implements EventBuffer {
  readonly #budget: BufferBudget;
  #envelopes: Envelope[] = [];
  #bytes = 0;

  constructor(budget: BufferBudget) {
    this.#budget = budget;
  }

  get first(): Envelope | undefined {
    return this.#envelopes[0];
  }

  get isFull(): boolean {
    return this.#envelopes.length >= MAX_BUFFERED || (this.#budget.isExceeded && this.#bytes > OWN_BYTES);
  }

  push(envelope: Envelope): void {
    const weight = approximateSize(envelope.event);
    this.#envelopes.push(envelope);
    this.#bytes += weight;
    this.#budget.reserve(envelope, weight);
  }

  shift(): Envelope | undefined {
    const first = this.#envelopes.shift();
    if (first === undefined) return undefined;
    const weight = approximateSize(first.event);
    this.#bytes -= weight;
    this.#budget.release(first, weight);
    return first;
  }

  clear(): void {
    for (const envelope of this.#envelopes) this.#budget.release(envelope, approximateSize(envelope.event));
    this.#envelopes = [];
    this.#bytes = 0;
  }
}
