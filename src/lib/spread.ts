/** Shorter pauses would be lost in the inaccuracy of timers. */
const MIN_PAUSE_MS = 20;

/**
 * Calls the functions in order, evenly spread over `ms`; all immediately if that is 0. After a delay of the event loop it
 * does not catch up in a burst: the calls that are left share the time that is left. Resolves after the last one.
 */
export async function spreadOver(ms: number, calls: readonly (() => void)[]): Promise<void> {
  const deadline = performance.now() + ms;
  for (let next = 0; next < calls.length;) {
    const left = calls.length - next;
    const msPerCall = Math.max(0, deadline - performance.now()) / left;
    const batch = msPerCall === 0 ? left : Math.max(1, Math.ceil(MIN_PAUSE_MS / msPerCall));
    for (const call of calls.slice(next, next + batch)) call();
    next += batch;
    if (next < calls.length) await new Promise((resolve) => setTimeout(resolve, batch * msPerCall));
  }
}

/** Merges lists so that each is evenly distributed over the result, in its own order. */
export function interleave<Item>(lists: readonly (readonly Item[])[]): Item[] {
  return lists
    .flatMap((list) => list.map((item, index) => ({ item, position: (index + 0.5) / list.length })))
    .toSorted((a, b) => a.position - b.position)
    .map(({ item }) => item);
}
