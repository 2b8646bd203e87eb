/** Message ids that a reader received, in order. */
export interface ReceivedLog {
  readonly reader: string;
  readonly ids: number[];
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
  /** Records a delivery without access. */
  recordLeak(description: string): void;
  /** Compares acknowledgements and deliveries with the stored messages. */
  countFaults(stored: readonly StoredMessage[]): FaultCounts;
  /** Returns whether every reader has received all messages. */
  isComplete(stored: readonly StoredMessage[]): boolean;
}

export function createDeliveryLog(): DeliveryLog {
  const acknowledged = new Set<string>();
  const readers: ReceivedLog[] = [];
  const leaks: string[] = [];
  return {
    acknowledge: (text) => void acknowledged.add(text),
    addReader(name) {
      const received = { reader: name, ids: [] };
      readers.push(received);
      return received;
    },
    recordLeak: (description) => void leaks.push(description),
    isComplete: (stored) => readers.every(({ ids }) => new Set(ids).size >= stored.length),
    countFaults(stored) {
      const texts = new Map<string, number>();
      for (const { text } of stored) texts.set(text, (texts.get(text) ?? 0) + 1);
      let lost = [...acknowledged].filter((text) => !texts.has(text)).length;
      let duplicated = [...texts.values()].filter((times) => times > 1).length;
      let reordered = 0;
      let delivered = 0;
      for (const { reader, ids } of readers) {
        const distinctIds = new Set(ids);
        const missingCount = stored.filter(({ id }) => !distinctIds.has(id)).length;
        const repeatedCount = ids.length - distinctIds.size;
        const reorderedCount = ids.filter((id, index) => index > 0 && id < (ids[index - 1] ?? 0)).length;
        if (missingCount + repeatedCount + reorderedCount > 0)
          process.stdout.write(
            `  ${reader}: ${missingCount} missing, ${repeatedCount} repeated, ${reorderedCount} out of order\n`,
          );
        delivered += ids.length;
        lost += missingCount;
        duplicated += repeatedCount;
        reordered += reorderedCount;
      }
      for (const leak of leaks) process.stdout.write(`  leaked: ${leak}\n`);
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
