/** Hands items to the work in batches, and answers each with its own result. */
export interface Gatherer<Item, Result> {
  add(item: Item): Promise<Result>;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
}

interface Batch<Item, Result> {
  readonly items: Item[];
  readonly done: Promise<readonly Result[]>;
}

/**
 * Gathers items while the work on earlier ones is under way, at most `max` in a batch, so that a thousand that come
 * at once cost a few statements. One that comes alone waits for nothing. The work answers one result for each item,
 * in their order; when it throws, it does so for all of them.
 */
export function createGatherer<Item, Result>(
  work: (items: readonly Item[]) => Promise<readonly Result[]>,
  max: number,
): Gatherer<Item, Result> {
  let running: Promise<unknown> = Promise.resolve();
  let filling: Batch<Item, Result> | undefined;

  const begin = (): Batch<Item, Result> => {
    const items: Item[] = [];
    const done = running.then(() => {
      if (filling?.items === items) filling = undefined;
      return work(items);
    });
    running = done.catch(() => undefined);
    return { items, done };
  };

  return {
    async add(item) {
      if (filling === undefined || filling.items.length >= max) filling = begin();
      const { items, done } = filling;
      const place = items.push(item) - 1;
      const results = await done;
      if (!(place in results)) throw new Error('The work answered too few results');
      return results[place] as Result;
    },
    async idle() {
      await running;
    },
  };
}
