import { startTimer } from '../../lib/timeout.ts';

interface Expected {
  readonly missing: Set<string>;
  readonly confirmed: Set<string>;
  readonly finish: () => void;
}

/** The confirmations of other nodes that sent notices wait for. */
export class Confirmations {
  readonly #expected = new Map<number, Expected>();

  /** Resolves with the nodes that have confirmed the notice: all of them, or after `timeoutMs` fewer. */
  async expect(number: number, nodeIds: readonly string[], timeoutMs: number): Promise<Set<string>> {
    const confirmed = new Set<string>();
    if (nodeIds.length === 0) return confirmed;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancelTimer = startTimer(timeoutMs, resolve);
    this.#expected.set(number, { missing: new Set(nodeIds), confirmed, finish: resolve });
    await promise;
    cancelTimer();
    this.#expected.delete(number);
    return confirmed;
  }

  confirm(number: number, nodeId: string): void {
    const expected = this.#expected.get(number);
    if (expected === undefined || !expected.missing.delete(nodeId)) return;
    expected.confirmed.add(nodeId);
    if (expected.missing.size === 0) expected.finish();
  }

  /** Ends all waits, when no confirmation can be received. */
  giveUp(): void {
    for (const { finish } of this.#expected.values()) finish();
  }
}
