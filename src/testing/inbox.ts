const DEFAULT_TIMEOUT_MS = 5_000;

/** What has arrived and was not yet asked for, in order. */
export interface Inbox<Item> {
  push(item: Item): void;
  /** Ends it: who waits, or will, gets the error once what has arrived is used up. */
  fail(error: Error): void;
  /**
   * Takes the first item that fits out, waiting for it when it has not come yet. Rejects at the deadline, naming
   * what did come.
   */
  next(fits?: (item: Item) => boolean, timeoutMs?: number): Promise<Item>;
  /** What is there now, without taking it. */
  waiting(): readonly Item[];
}

interface Waiter<Item> {
  readonly fits: (item: Item) => boolean;
  readonly resolve: (item: Item) => void;
  readonly reject: (error: Error) => void;
}

export function createInbox<Item>(name: string): Inbox<Item> {
  const items: Item[] = [];
  const waiters = new Set<Waiter<Item>>();
  let failure: Error | undefined;

  return {
    push(item) {
      for (const waiter of waiters) {
        if (!waiter.fits(item)) continue;
        waiters.delete(waiter);
        return waiter.resolve(item);
      }
      items.push(item);
    },
    fail(error) {
      failure ??= error;
      for (const waiter of waiters) waiter.reject(error);
      waiters.clear();
    },
    next(fits = () => true, timeoutMs = DEFAULT_TIMEOUT_MS) {
      const index = items.findIndex(fits);
      const [found] = index < 0 ? [] : items.splice(index, 1);
      if (found !== undefined) return Promise.resolve(found);
      if (failure !== undefined) return Promise.reject(failure);
      return new Promise((resolve, reject) => {
        const waiter: Waiter<Item> = {
          fits,
          resolve(item) {
            clearTimeout(timer);
            resolve(item);
          },
          reject(error) {
            clearTimeout(timer);
            reject(error);
          },
        };
        const timer = setTimeout(() => {
          waiters.delete(waiter);
          reject(
            new Error(`${name}: nothing fitting in ${timeoutMs} ms; there were ${JSON.stringify(items)}`),
          );
        }, timeoutMs);
        waiters.add(waiter);
      });
    },
    waiting: () => items,
  };
}
