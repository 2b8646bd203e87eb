/** What one reader was told, in the order in which it came. */
export interface Heard {
  readonly reader: string;
  readonly ids: number[];
}

/** Messages as the database has them in the end: the truth. */
export interface Stored {
  readonly id: number;
  readonly text: string;
}

export interface Tally {
  readonly acknowledged: number;
  readonly delivered: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly leaked: number;
}

/** All that is known while a scenario runs. */
export interface Ledger {
  /** The server has answered that this text is sent. */
  acknowledge(text: string): void;
  /** A reader whose every event counts. */
  reader(name: string): Heard;
  /** Something reached one who had no right to it. */
  leak(what: string): void;
  /** Holds what was promised against what is there. */
  tally(stored: readonly Stored[]): Tally;
  /** Whether every reader has all of it. */
  isComplete(stored: readonly Stored[]): boolean;
}

export function createLedger(): Ledger {
  const acknowledged = new Set<string>();
  const readers: Heard[] = [];
  const leaks: string[] = [];
  return {
    acknowledge: (text) => void acknowledged.add(text),
    reader(name) {
      const heard = { reader: name, ids: [] };
      readers.push(heard);
      return heard;
    },
    leak: (what) => void leaks.push(what),
    isComplete: (stored) => readers.every(({ ids }) => new Set(ids).size >= stored.length),
    tally(stored) {
      const texts = new Map<string, number>();
      for (const { text } of stored) texts.set(text, (texts.get(text) ?? 0) + 1);
      let lost = [...acknowledged].filter((text) => !texts.has(text)).length;
      let duplicated = [...texts.values()].filter((times) => times > 1).length;
      let reordered = 0;
      let delivered = 0;
      for (const { reader, ids } of readers) {
        const known = new Set(ids);
        const missing = stored.filter(({ id }) => !known.has(id)).length;
        const repeated = ids.length - known.size;
        const swapped = ids.filter((id, index) => index > 0 && id < (ids[index - 1] ?? 0)).length;
        if (missing + repeated + swapped > 0)
          process.stdout.write(
            `  ${reader}: ${missing} missing, ${repeated} repeated, ${swapped} out of order\n`,
          );
        delivered += ids.length;
        lost += missing;
        duplicated += repeated;
        reordered += swapped;
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
