import type { EventLog } from '../db/event-log.ts';
import type { Append, LogSnapshot } from '../db/log-changes.ts';
import type { Epoch } from './cursor.ts';
import type { Topic } from './event.ts';

/** Topics per statement when all open ones are compared. */
const BATCH_SIZE = 5_000;
/** After a longer time, a node compares its open topics instead of reading all that was committed meanwhile. */
const MAX_SNAPSHOT_AGE_MS = 30_000;

/**
 * The newest append of this node to the log of the present epoch. Comparisons know those of all nodes, but not what was
 * appended after the last one, and a backup may be as recent.
 */
export interface OwnAppends {
  newest: Append | undefined;
}

/** The topics that are compared with the log. */
export interface ComparedTopics {
  topics(): readonly Topic[];
  /** Called with the head of a topic, open or not, which may be known. */
  advance(topic: Topic, head: number): void;
  /** Called when the log was restored, and its epoch renewed: positions known so far mean nothing any more. */
  restart(): Promise<void>;
}

/**
 * Creates a comparison with the log. It reads only what was committed since the one before; the first one, and one after
 * a restart of the database or a long pause, reads the heads of all open topics. Call it again once it has resolved.
 */
export function createComparison(
  eventLog: EventLog,
  { epoch, ownAppends }: { readonly epoch: Epoch; readonly ownAppends: OwnAppends },
  { topics, advance, restart }: ComparedTopics,
): () => Promise<void> {
  let last: { readonly snapshot: LogSnapshot; readonly at: number } | undefined;
  const advanceAll = (heads: ReadonlyMap<string, number>): void => {
    for (const [topic, head] of heads) advance(topic as Topic, head);
  };
  return async () => {
    const at = performance.now();
    const former = last !== undefined && at - last.at <= MAX_SNAPSHOT_AGE_MS ? last.snapshot : undefined;
    const changes = await eventLog.readChanges(former);
    const { snapshot, heads } = changes;
    const presentEpoch =
      last === undefined || last.snapshot.server === snapshot.server
        ? changes.epoch
        : await eventLog.renewEpochIfLost(
            epoch.current,
            [last.snapshot.lastAppend, ownAppends.newest].filter((append) => append != null),
          );
    if (presentEpoch !== epoch.current) {
      epoch.current = presentEpoch;
      // It is of the former log, and would be missing again after the next restart of the server.
      ownAppends.newest = undefined;
      await restart();
    } else if (snapshot.server === former?.server) {
      advanceAll(heads);
    } else {
      // After the new snapshot: what is committed in between is found by both.
      const open = topics();
      for (let start = 0; start < open.length; start += BATCH_SIZE)
        advanceAll(await eventLog.readHeads(open.slice(start, start + BATCH_SIZE)));
    }
    last = { snapshot, at };
  };
}
