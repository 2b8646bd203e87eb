import { MAX_NOTIFICATION_BYTES } from '../../db/notify.ts';
import type { Notifier } from '../../db/notify.ts';
import type { Notice } from '../bus.ts';
import type { Topic } from '../event.ts';
import { encodeNotice } from './notice-codec.ts';

const MAX_QUEUED_NOTICES = 2_000;
const MAX_DIRTY_TOPICS = 10_000;

interface Item {
  readonly notice: Notice;
  readonly text: string;
}

/** Sends notices to other nodes, batched while an earlier send is in flight. */
export interface NoticeSender {
  add(notices: readonly Notice[]): void;
  /** Sends the heads of topics whose notices were not sent. */
  catchUp(): void;
  /** Called periodically. Without peers, forgets topics that became dirty before the previous call. */
  expireDirtyTopics(): void;
}

/**
 * Creates a sender with a bounded queue. When the queue is full, or the notifier is disconnected, events are downgraded
 * to a dirty topic, whose head is sent later, and ephemeral items are dropped. Without peers nothing is sent: a NOTIFY
 * costs as much as a small write.
 */
export function createNoticeSender(
  origin: string,
  notifier: Notifier,
  hasNoPeers: () => boolean,
): NoticeSender {
  let number = 0;
  let queue: Item[] = [];
  let sending = false;
  let dirtyTopics = new Map<Topic, number>();
  let expiringTopics = new Map<Topic, number>();

  const encode = (notice: Notice): Item[] =>
    encodeNotice(origin, (number += 1), notice, MAX_NOTIFICATION_BYTES).map((text) => ({ notice, text }));

  const downgrade = (notice: Notice): void => {
    if (notice.kind === 'ephemeral') return;
    const { topic, seq } = notice.kind === 'event' ? notice.envelope : notice;
    if (dirtyTopics.size < MAX_DIRTY_TOPICS || dirtyTopics.has(topic)) {
      dirtyTopics.set(topic, Math.max(seq, dirtyTopics.get(topic) ?? 0));
    }
  };

  const takeDirtyTopics = (): Item[] => {
    const heads = new Map([...expiringTopics, ...dirtyTopics]);
    dirtyTopics.clear();
    expiringTopics.clear();
    return [...heads].map(([topic, seq]): Notice => ({ kind: 'advanced', topic, seq })).flatMap(encode);
  };

  const downgradeQueue = (): void => {
    for (const { notice } of queue) downgrade(notice);
    queue = [];
  };

  const nextItems = (): Item[] => {
    if (!notifier.listening || hasNoPeers()) {
      downgradeQueue();
      return [];
    }
    const items = [...queue, ...takeDirtyTopics()];
    queue = [];
    return items;
  };

  const flush = async (): Promise<void> => {
    if (sending) return;
    for (let items = nextItems(); items.length > 0; items = nextItems()) {
      sending = true;
      try {
        await notifier.send(items.map((item) => item.text));
      } catch {
        // Some may have been sent: repeats are harmless. Not retried immediately, which would loop while the server
        // rejects them.
        for (const { notice } of items) downgrade(notice);
        downgradeQueue();
        sending = false;
        return;
      }
      // No await between this and the next check of the queue: an item added in between would stay there.
      sending = false;
    }
  };

  return {
    add(notices) {
      const canSend = notifier.listening && !hasNoPeers();
      for (const notice of notices) {
        if (canSend && queue.length < MAX_QUEUED_NOTICES) queue.push(...encode(notice));
        else downgrade(notice);
      }
      void flush();
    },
    catchUp: () => void flush(),
    expireDirtyTopics() {
      // While disconnected, peers may exist unnoticed: they still need every dirty topic.
      if (!notifier.listening || !hasNoPeers()) return;
      expiringTopics = dirtyTopics;
      dirtyTopics = new Map();
    },
  };
}
