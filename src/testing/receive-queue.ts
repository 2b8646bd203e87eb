/** Long enough for a busy machine: only a failure waits for it. */
const DEFAULT_TIMEOUT_MS = 15_000;

/** A queue of received items that tests take in order or by a predicate. */
export interface ReceiveQueue<Item> {
  push(item: Item): void;
  /** Rejects pending reads, and later ones once the queue has no matching item. */
  fail(error: Error): void;
  /**
   * Takes the first matching item, waiting for it if necessary. Rejects after the timeout (15 s by default), listing the
   * queued items.
   */
  next(matches?: (item: Item) => boolean, timeoutMs?: number): Promise<Item>;
  /** Returns the queued items without taking them. */
  pending(): readonly Item[];
}

interface Waiter<Item> {
  readonly matches: (item: Item) => boolean;
  readonly resolve: (item: Item) => void;
  readonly reject: (error: Error) => void;
}

export function createReceiveQueue<Item>(name: string): ReceiveQueue<Item> {
  const items: Item[] = [];
  const waiters = new Set<Waiter<Item>>();
  let failure: Error | undefined;

  return {
    push(item) {
      for (const waiter of waiters) {
        if (!waiter.matches(item)) continue;
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
    next(matches = () => true, timeoutMs = DEFAULT_TIMEOUT_MS) {
      const index = items.findIndex(matches);
      const [found] = index < 0 ? [] : items.splice(index, 1);
      if (found !== undefined) return Promise.resolve(found);
      if (failure !== undefined) return Promise.reject(failure);
      return new Promise((resolve, reject) => {
        const waiter: Waiter<Item> = {
          matches,
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
            new Error(`${name}: no matching item within ${timeoutMs} ms; queued: ${JSON.stringify(items)}`),
          );
        }, timeoutMs);
        waiters.add(waiter);
      });
    },
    pending: () => items,
  };
}
