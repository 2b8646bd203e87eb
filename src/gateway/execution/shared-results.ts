import type { ExecutionResult } from 'graphql';
import type { Envelope } from '../../events/event.ts';

/** The result of one event, the same for every member of a group. */
export interface SharedResult {
  readonly result: ExecutionResult;
  /** The cursor after the event. */
  readonly cursor: string;
}

/** Results of consecutive events, the same for every member of a group that has received those before. */
export interface SharedResults {
  readonly length: number;
  /** Returns what a transport writes, encoded once per encoder for all members. */
  encoded<Encoded>(encode: Encode<Encoded>): Encoded;
}

type Encode<Encoded> = (results: readonly SharedResult[]) => Encoded;

function createSharedResults(results: readonly SharedResult[]): SharedResults {
  const known = new Map<Encode<unknown>, unknown>();
  return {
    length: results.length,
    encoded<Encoded>(encode: Encode<Encoded>): Encoded {
      // What an encoder has returned has the type that it returns.
      if (known.has(encode)) return known.get(encode) as Encoded;
      const encoded = encode(results);
      known.set(encode, encoded);
      return encoded;
    },
  };
}

interface Executed {
  readonly envelope: Envelope;
  /** Undefined for an event that clients do not see. */
  readonly result: SharedResult | undefined;
  /** The approximate size of the event. */
  readonly bytes: number;
}

/** The events of a group that are executed and not delivered to all members yet. */
export class UndeliveredResults {
  bytes = 0;
  #executed: Executed[] = [];
  /** All from an index on: most members are at the same one. */
  readonly #results = new Map<number, SharedResults>();

  get length(): number {
    return this.#executed.length;
  }

  push(executed: Executed): void {
    this.#executed.push(executed);
    this.bytes += executed.bytes;
    this.#results.clear();
  }

  at(index: number): Executed | undefined {
    return this.#executed[index];
  }

  /** Returns the index of the first event after the position. */
  indexAfter(seq: number): number {
    let index = 0;
    for (; index < this.#executed.length; index += 1)
      if ((this.#executed[index]?.envelope.seq ?? 0) > seq) break;
    return index;
  }

  resultsOf(from: number, to: number): SharedResults {
    if (to < this.#executed.length) return this.#createResults(from, to);
    const known = this.#results.get(from) ?? this.#createResults(from, to);
    this.#results.set(from, known);
    return known;
  }

  /** Removes the first events: all members have received them. */
  remove(count: number): void {
    for (const { bytes } of this.#executed.splice(0, count)) this.bytes -= bytes;
    this.#results.clear();
  }

  #createResults(from: number, to: number): SharedResults {
    return createSharedResults(this.#executed.slice(from, to).flatMap(({ result }) => result ?? []));
  }
}
