/** A flow that was idle may be served this much service time ahead of the others, in milliseconds. */
const IDLE_CREDIT_MS = 50;
/** Assumed service time of an item until it is known. */
const ESTIMATED_MS = 1;
/** Flows that are compared for the next item: those that have been queued longest. */
const MAX_COMPARED_FLOWS = 64;
/** Idle flows whose past use is remembered. */
const MAX_REMEMBERED_FLOWS = 10_000;

interface Flow<Item> {
  /** Earliest virtual time at which its next item may be served. */
  readonly notBefore: number;
  readonly items: Item[];
}

/**
 * Queued items of flows, which are shared out fairly by the time that their service takes (start-time fair queueing): a flow
 * that has used little is served before one that has used much, however many items that one has queued.
 */
export class FairFlows<Item> {
  /** Flows with queued items, by the time at which they were queued or served last. */
  readonly #queued = new Map<string, Flow<Item>>();
  /** The virtual time at which each flow has used its share. */
  readonly #finishTimes = new Map<string, number>();
  #virtualTime = 0;
  #length = 0;

  /** Number of queued items. */
  get length(): number {
    return this.#length;
  }

  /** Number of flows with queued items. */
  get flows(): number {
    return this.#queued.size;
  }

  add(flow: string, item: Item): void {
    let queued = this.#queued.get(flow);
    if (queued === undefined)
      this.#queued.set(flow, (queued = { notBefore: this.#virtualTime - IDLE_CREDIT_MS, items: [] }));
    queued.items.push(item);
    this.#length += 1;
  }

  /** Removes an item that is queued. */
  remove(flow: string, item: Item): void {
    const items = this.#queued.get(flow)?.items ?? [];
    const index = items.indexOf(item);
    if (index < 0) return;
    items.splice(index, 1);
    this.#length -= 1;
    if (items.length === 0) this.#queued.delete(flow);
  }

  /** Removes and returns the next item. Its service begins. */
  take(): { readonly flow: string; readonly item: Item } | undefined {
    const next = this.#findNext();
    if (next === undefined) return undefined;
    const [flow, queued] = next;
    const item = queued.items.shift();
    // Reinserted at the end of the map, so that every flow is compared in its turn.
    this.#queued.delete(flow);
    if (queued.items.length > 0) this.#queued.set(flow, queued);
    if (item === undefined) return undefined;
    this.#length -= 1;
    this.begin(flow, queued.notBefore);
    return { flow, item };
  }

  /** Begins the service of an item that was not queued. */
  begin(flow: string, notBefore = this.#virtualTime): void {
    const startTime = this.#startTime(flow, notBefore);
    this.#virtualTime = Math.max(this.#virtualTime, startTime);
    this.#finishTimes.set(flow, startTime + ESTIMATED_MS);
  }

  /** Ends the service of an item of the flow, which has taken so many milliseconds. */
  end(flow: string, ms: number): void {
    const finishTime = this.#finishTimes.get(flow) ?? this.#virtualTime;
    this.#finishTimes.set(flow, finishTime + ms - ESTIMATED_MS);
    if (this.#finishTimes.size <= MAX_REMEMBERED_FLOWS) return;
    for (const [key, time] of this.#finishTimes)
      if (time <= this.#virtualTime - IDLE_CREDIT_MS) this.#finishTimes.delete(key);
    // Most have used more than their share: the past is forgotten, rather than searched again for each further flow.
    if (this.#finishTimes.size > MAX_REMEMBERED_FLOWS / 2) this.#finishTimes.clear();
  }

  #startTime(flow: string, notBefore: number): number {
    return Math.max(notBefore, this.#finishTimes.get(flow) ?? -Infinity);
  }

  #findNext(): [string, Flow<Item>] | undefined {
    let next: [string, Flow<Item>] | undefined;
    let [earliest, compared] = [Infinity, 0];
    for (const entry of this.#queued) {
      const startTime = this.#startTime(entry[0], entry[1].notBefore);
      if (startTime < earliest) [next, earliest] = [entry, startTime];
      compared += 1;
      if (compared === MAX_COMPARED_FLOWS) break;
    }
    return next;
  }
}
