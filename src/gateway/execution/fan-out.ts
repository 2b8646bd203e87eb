import type { EventStream } from '../../events/stream.ts';
import { FanOutGroup } from './fan-out-group.ts';
import type { FanOutOptions, Receiver } from './fan-out-group.ts';
import type { SharedOperation } from './group-execution.ts';

/** Groups live subscriptions of one operation on one topic: each event is executed and encoded once per group. */
export interface FanOut {
  /**
   * Joins a stream to the group of its operation. Resolves when the stream has left the group and must be read on its own:
   * it has events to read first, its subscriber is slow, or it has ended. Returns undefined if it has not caught up.
   */
  run(stream: EventStream, operation: SharedOperation, receiver: Receiver): Promise<void> | undefined;
}

export function createFanOut(options: FanOutOptions): FanOut {
  const groups = new Map<string, FanOutGroup>();
  const { metrics } = options;

  metrics.beforeScrape(() => {
    const sizes = Array.from(groups.values(), ({ size }) => size);
    metrics.groups.set(sizes.length);
    metrics.groupMembers.set(sizes.reduce((sum, size) => sum + size, 0));
    metrics.largestGroup.set(sizes.reduce((largest, size) => Math.max(largest, size), 0));
    const queued = Array.from(groups.values(), ({ queuedBytes }) => queuedBytes);
    metrics.queuedBytes.set(
      { queue: 'group' },
      queued.reduce((sum, bytes) => sum + bytes, 0),
    );
  });

  return {
    run(stream, operation, receiver) {
      if (!stream.isCaughtUp()) return undefined;
      const name = `${stream.topic} ${operation.key}`;
      const group =
        groups.get(name) ?? new FanOutGroup(options, stream, operation, () => groups.delete(name));
      groups.set(name, group);
      return group.run(stream, receiver);
    },
  };
}
