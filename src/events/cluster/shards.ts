import type { Notifier } from '../../db/notifier.ts';
import { createBatcher } from '../../lib/batcher.ts';
import { withTimeout } from '../../lib/timeout.ts';
import type { Topic } from '../event.ts';

/** The channel of presence, which every node listens to. Nodes of older versions send and receive all notices on it. */
export const COMMON_CHANNEL = 'parley';
/** Shards in one statement. */
const MAX_BATCH_SIZE = 1_000;
/** Readers of a topic wait for its shard no longer: until it is listened to, comparisons with the log find its events. */
const LISTEN_TIMEOUT_MS = 500;

/** The shards of the topics that this node follows. */
export interface Shards {
  /** Returns the channel on which notices of the topic are sent. */
  channelOf(topic: Topic): string;
  follow(topic: Topic): void;
  unfollow(topic: Topic): void;
  /** Resolves once the topic's shard is listened to, or cannot be for now. Undefined if it is already. */
  whenFollowed(topic: Topic): Promise<void> | undefined;
  /** Called periodically. Stops listening to shards that had no topic since the previous call. */
  releaseUnused(): void;
}

/** Creates the shards of a node that follows no topic. A topic's shard is listened to from its first topic on. */
export function createShards(notifier: Pick<Notifier, 'shards' | 'listen' | 'unlisten'>): Shards {
  /** Number of followed topics, by shard; 0 until the shard is released. */
  const topicCounts = new Map<number, number>();
  const pending = new Map<number, Promise<void>>();
  let unused = new Set<number>();

  const listener = createBatcher<number, void>(
    async (shards) => {
      // Resumed by the notifier when it reconnects, and then followed by a comparison with the log.
      await notifier.listen(shards.map(channelOfShard)).catch(() => undefined);
      return shards.map(() => undefined);
    },
    { maxBatchSize: MAX_BATCH_SIZE },
  );
  const shardOf = (topic: Topic): number => hash(topic) % notifier.shards;
  const listen = (shard: number): void => {
    const listening = withTimeout(LISTEN_TIMEOUT_MS, listener.submit(shard))
      .catch(() => undefined)
      .finally(() => pending.delete(shard));
    pending.set(shard, listening);
  };

  return {
    channelOf: (topic) => channelOfShard(shardOf(topic)),
    follow(topic) {
      const shard = shardOf(topic);
      const count = topicCounts.get(shard);
      topicCounts.set(shard, (count ?? 0) + 1);
      if (count === undefined) listen(shard);
      else unused.delete(shard);
    },
    unfollow(topic) {
      const shard = shardOf(topic);
      topicCounts.set(shard, (topicCounts.get(shard) ?? 1) - 1);
    },
    whenFollowed: (topic) => pending.get(shardOf(topic)),
    releaseUnused() {
      const released = [...unused].filter((shard) => topicCounts.get(shard) === 0);
      for (const shard of released) topicCounts.delete(shard);
      unused = new Set([...topicCounts].flatMap(([shard, count]) => (count === 0 ? [shard] : [])));
      // Channels that are released while disconnected are not resumed.
      if (released.length > 0) notifier.unlisten(released.map(channelOfShard)).catch(() => undefined);
    },
  };
}

const channelOfShard = (shard: number): string => `parley_${shard}`;

/** FNV-1a. Every node of a cluster must compute the same. */
function hash(text: string): number {
  let result = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1)
    result = Math.imul(result ^ text.charCodeAt(index), 0x01000193);
  return result >>> 0;
}
