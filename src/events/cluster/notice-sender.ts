import type { Message, Notifier } from '../../db/notifier.ts';
import { topicOfNotice } from '../bus.ts';
import type { Notice } from '../bus.ts';
import type { Topic } from '../event.ts';
import { encodeNotice } from './notice-codec.ts';

const MAX_QUEUED_NOTICES = 2_000;
/** Bytes of the queued texts: a signal may have hundreds of thousands. */
const MAX_QUEUED_BYTES = 16 * 1024 * 1024;
const MAX_DIRTY_TOPICS = 10_000;

interface Item extends Message {
  readonly notice: Notice;
}

/** A number of messages between nodes. */
export interface Traffic {
  messages: number;
  bytes: number;
}

/** Sends notices to other nodes, batched while an earlier send is in flight. */
export interface NoticeSender {
  add(notices: readonly Notice[]): void;
  /** Sends a notice that asks its receivers for a confirmation. Returns its number; undefined if it cannot be sent. */
  addConfirmed(notice: Notice): number | undefined;
  /** Sends the heads of topics whose notices were not sent. */
  catchUp(): void;
  /** Messages, and their bytes, that wait to be sent. */
  readonly queued: Traffic;
  /** Messages sent so far. */
  readonly sent: Readonly<Traffic>;
  /** Called periodically. Without peers, forgets topics that became dirty before the previous call. */
  expireDirtyTopics(): void;
}

export interface NoticeSenderOptions {
  readonly origin: string;
  readonly notifier: Pick<Notifier, 'listening' | 'maxTextBytes' | 'send'>;
  hasNoPeers(): boolean;
  /** Returns the channel of a topic's notices; undefined for the common channel. */
  channelOf(topic: Topic): string | undefined;
  readonly commonChannel: string;
  /** Called when notices could not be sent. */
  onFailed?(): void;
}

/**
 * Creates a sender with a bounded queue. When the queue is full, or the notifier is disconnected, events are downgraded
 * to a dirty topic, whose head is sent later, and ephemeral items are dropped. Without peers nothing is sent: a NOTIFY
 * costs as much as a small write.
 */
export function createNoticeSender(options: NoticeSenderOptions): NoticeSender {
  const { origin, notifier, hasNoPeers, channelOf, commonChannel, onFailed } = options;
  let number = 0;
  let queue: Item[] = [];
  let queuedBytes = 0;
  let sending = false;
  const sent: Traffic = { messages: 0, bytes: 0 };
  let dirtyTopics = new Map<Topic, number>();
  let expiringTopics = new Map<Topic, number>();

  const encode = (notice: Notice, mustConfirm = false): Item[] => {
    const channel = channelOf(topicOfNotice(notice));
    number += 1;
    const { maxTextBytes: maxBytes } = notifier;
    return encodeNotice(notice, {
      origin,
      number,
      maxBytes,
      withTopic: channel !== undefined,
      mustConfirm,
    }).map((text) => ({ notice, channel: channel ?? commonChannel, text }));
  };

  const enqueue = (items: readonly Item[]): void => {
    for (const item of items) {
      queue.push(item);
      queuedBytes += item.text.length;
    }
  };

  const takeQueue = (): Item[] => {
    const items = queue;
    queue = [];
    queuedBytes = 0;
    return items;
  };

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
    return [...heads].flatMap(([topic, seq]) => encode({ kind: 'advanced', topic, seq }));
  };

  const canSend = (): boolean => notifier.listening && !hasNoPeers();
  const isFull = (): boolean => queue.length >= MAX_QUEUED_NOTICES || queuedBytes >= MAX_QUEUED_BYTES;

  const fail = (items: readonly Item[]): void => {
    for (const { notice } of items) downgrade(notice);
    onFailed?.();
  };

  const countSent = (items: readonly Item[]): void => {
    sent.messages += items.length;
    for (const { text } of items) sent.bytes += Buffer.byteLength(text);
  };

  const nextItems = (): Item[] => {
    if (canSend()) return [...takeQueue(), ...takeDirtyTopics()];
    if (queue.length > 0) fail(takeQueue());
    return [];
  };

  const flush = async (): Promise<void> => {
    if (sending) return;
    for (let items = nextItems(); items.length > 0; items = nextItems()) {
      sending = true;
      try {
        await notifier.send(items);
        countSent(items);
      } catch {
        // Some may have been sent: repeats are harmless. Not retried immediately, which would loop while the server
        // rejects them.
        fail([...items, ...takeQueue()]);
        sending = false;
        return;
      }
      // No await between this and the next check of the queue: an item added in between would stay there.
      sending = false;
    }
  };

  return {
    add(notices) {
      for (const notice of notices) {
        if (canSend() && !isFull()) enqueue(encode(notice));
        else downgrade(notice);
      }
      void flush();
    },
    addConfirmed(notice) {
      const items = canSend() && !isFull() ? encode(notice, true) : [];
      if (items.length === 0) {
        downgrade(notice);
        return undefined;
      }
      enqueue(items);
      const added = number;
      void flush();
      return added;
    },
    catchUp: () => void flush(),
    get queued() {
      return { messages: queue.length, bytes: queuedBytes };
    },
    sent,
    expireDirtyTopics() {
      // While disconnected, peers may exist unnoticed: they still need every dirty topic.
      if (!notifier.listening || !hasNoPeers()) return;
      expiringTopics = dirtyTopics;
      dirtyTopics = new Map();
    },
  };
}
