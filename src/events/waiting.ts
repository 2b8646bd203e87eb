import type { Budget } from '../budget.ts';
import { weightOf } from './event.ts';
import type { Envelope } from './event.ts';

const MAX_BUFFERED = 256;
/** What may wait for each stream when the budget of its connection is spent. */
const OWN_BYTES = 16 * 1024;

/** Events that wait in memory for one reader. */
export function createWaiting(budget: Budget) {
  let envelopes: Envelope[] = [];
  let bytes = 0;
  return {
    get first() {
      return envelopes[0];
    },
    get isFull() {
      return envelopes.length >= MAX_BUFFERED || (budget.isSpent && bytes > OWN_BYTES);
    },
    push(envelope: Envelope): void {
      const weight = weightOf(envelope.event);
      envelopes.push(envelope);
      bytes += weight;
      budget.hold(envelope, weight);
    },
    shift(): Envelope | undefined {
      const first = envelopes.shift();
      if (first === undefined) return undefined;
      const weight = weightOf(first.event);
      bytes -= weight;
      budget.release(first, weight);
      return first;
    },
    clear(): void {
      for (const envelope of envelopes) budget.release(envelope, weightOf(envelope.event));
      envelopes = [];
      bytes = 0;
    },
  };
}
