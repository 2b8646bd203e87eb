import { GapClock } from './gap-clock.ts';

/** What a reader received, in order. */
export interface ReceivedLog {
  readonly reader: string;
  readonly ids: readonly number[];
  readonly gaps: GapClock;
  /** Whether the server may end its subscription. */
  readonly mayEnd: boolean;
  add(id: number, text: string): void;
}

/** A message in the database at the end of a scenario. */
export interface StoredMessage {
  readonly id: number;
  readonly text: string;
}

export interface FaultCounts {
  readonly acknowledged: number;
  readonly delivered: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly leaked: number;
}

/** Records acknowledgements and deliveries of a scenario, to compare with the database. */
export interface DeliveryLog {
  /** Records that the server acknowledged the text. */
  acknowledge(text: string): void;
  /** Adds a reader that must receive every message. */
  addReader(name: string): ReceivedLog;
  /** Adds a reader whose access ends: it must receive no secret. */
  addRevokedReader(name: string): ReceivedLog;
  /** Records a delivery without access. */
  recordLeak(description: string): void;
  /** Compares acknowledgements and deliveries with the stored messages. */
  countFaults(stored: readonly StoredMessage[]): FaultCounts;
  /** Returns whether every reader has received all messages. */
  isComplete(stored: readonly StoredMessage[]): boolean;
}

const SECRET = 'secret';
/** Problems that are printed. */
const MAX_LINES = 10;

/** Returns a text that readers without access must not receive. */
export const secretText = (text: string): string => `${SECRET} ${text}`;

export const isSecret = (value: unknown): boolean => JSON.stringify(value).includes(SECRET);

class ReaderLog implements ReceivedLog {
  readonly reader: string;
  readonly mayEnd: boolean;
  readonly ids: number[] = [];
  readonly gaps = new GapClock();
  readonly #onText: (text: string) => void;

  constructor(reader: string, mayEnd: boolean, onText: (text: string) => void) {
    this.reader = reader;
    this.mayEnd = mayEnd;
    this.#onText = onText;
  }

  add(id: number, text: string): void {
    this.gaps.note();
    this.ids.push(id);
    this.#onText(text);
  }
}

export function createDeliveryLog(): DeliveryLog {
  const acknowledged = new Set<string>();
  const readers: ReceivedLog[] = [];
  const leaks: string[] = [];
  return {
    acknowledge: (text) => void acknowledged.add(text),
    addReader(name) {
      const received = new ReaderLog(name, false, () => undefined);
      readers.push(received);
      return received;
    },
    addRevokedReader: (name) =>
      new ReaderLog(name, true, (text) => void (isSecret(text) && leaks.push(`${name}: ${text}`))),
    recordLeak: (description) => void leaks.push(description),
    isComplete: (stored) => readers.every(({ ids }) => new Set(ids).size >= stored.length),
    countFaults(stored) {
      const texts = new Map<string, number>();
      for (const { text } of stored) texts.set(text, (texts.get(text) ?? 0) + 1);
      let lost = [...acknowledged].filter((text) => !texts.has(text)).length;
      let duplicated = [...texts.values()].filter((times) => times > 1).length;
      let reordered = 0;
      let delivered = 0;
      const problems = leaks.map((leak) => `leaked: ${leak}`);
      for (const { reader, ids } of readers) {
        const distinctIds = new Set(ids);
        const missingCount = stored.filter(({ id }) => !distinctIds.has(id)).length;
        const repeatedCount = ids.length - distinctIds.size;
        const reorderedCount = ids.filter((id, index) => index > 0 && id < (ids[index - 1] ?? 0)).length;
        if (missingCount + repeatedCount + reorderedCount > 0)
          problems.push(
            `${reader}: ${missingCount} missing, ${repeatedCount} repeated, ${reorderedCount} out of order`,
          );
        delivered += ids.length;
        lost += missingCount;
        duplicated += repeatedCount;
        reordered += reorderedCount;
      }
      for (const problem of problems.slice(0, MAX_LINES)) process.stdout.write(`  ${problem}\n`);
      if (problems.length > MAX_LINES) process.stdout.write(`  and ${problems.length - MAX_LINES} more\n`);
      return {
        acknowledged: acknowledged.size,
        delivered,
        lost,
        duplicated,
        reordered,
        leaked: leaks.length,
      };
    },
  };
}
