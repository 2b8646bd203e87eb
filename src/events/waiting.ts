import type { Budget } from '../budget.ts';
import { weightOf } from './event.ts';
import type { Envelope } from './event.ts';

const MAX_BUFFERED = 256;
/** What may wait for each stream when the budget of its connection is spent. */
const OWN_BYTES = 16 * 1024;

/** Events that wait in memory for one reader. */
export interface Waiting {
  readonly first: Envelope | undefined;
  readonly isFull: boolean;
  push(envelope: Envelope): void;
  shift(): Envelope | undefined;
  clear(): void;
}

export const createWaiting = (budget: Budget): Waiting => new WaitingFor(budget);

class WaitingFor implements Waiting {
  readonly #budget: Budget;
  #envelopes: Envelope[] = [];
  #bytes = 0;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  get first(): Envelope | undefined {
    return this.#envelopes[0];
  }

  get isFull(): boolean {
    return this.#envelopes.length >= MAX_BUFFERED || (this.#budget.isSpent && this.#bytes > OWN_BYTES);
  }

  push(envelope: Envelope): void {
    const weight = weightOf(envelope.event);
    this.#envelopes.push(envelope);
    this.#bytes += weight;
    this.#budget.hold(envelope, weight);
  }

  shift(): Envelope | undefined {
    const first = this.#envelopes.shift();
    if (first === undefined) return undefined;
    const weight = weightOf(first.event);
    this.#bytes -= weight;
    this.#budget.release(first, weight);
    return first;
  }

  clear(): void {
    for (const envelope of this.#envelopes) this.#budget.release(envelope, weightOf(envelope.event));
    this.#envelopes = [];
    this.#bytes = 0;
  }
}
