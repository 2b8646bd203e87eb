import { MAX_NOTIFICATION } from '../../db/notify.ts';
import type { Notifier } from '../../db/notify.ts';
import type { Notice } from '../bus.ts';
import type { Topic } from '../event.ts';
import { encodeNotice } from './notice-codec.ts';

const MAX_WAITING = 2_000;
const MAX_BEHIND = 10_000;

interface Item {
  readonly notice: Notice;
  readonly text: string;
}

/** Sends notices to the other nodes, together while an earlier sending is under way. */
export interface NoticeSender {
  add(notices: readonly Notice[]): void;
  /** Sends what others should know of since something could not be sent, or nobody was there to hear it. */
  catchUp(): void;
  /** While nobody is there, lets go of what was not sent before the last time. */
  forgetOld(): void;
}

/**
 * Bounded: when too much waits, or nothing can be sent, facts shrink to the news that their topic has advanced, and
 * what is not kept is let go. While no other node is there nothing is sent: a sending costs as much as a small write.
 */
export function createNoticeSender(origin: string, notifier: Notifier, isAlone: () => boolean): NoticeSender {
  let number = 0;
  let waiting: Item[] = [];
  let sending = false;
  let dirtyTopics = new Map<Topic, number>();
  let expiringTopics = new Map<Topic, number>();

  const encode = (notice: Notice): Item[] =>
    encodeNotice(origin, (number += 1), notice, MAX_NOTIFICATION).map((text) => ({ notice, text }));

  const downgrade = (notice: Notice): void => {
    if (notice.kind === 'ephemeral') return;
    const { topic, seq } = notice.kind === 'event' ? notice.envelope : notice;
    if (dirtyTopics.size < MAX_BEHIND || dirtyTopics.has(topic)) {
      dirtyTopics.set(topic, Math.max(seq, dirtyTopics.get(topic) ?? 0));
    }
  };

  const takeBehind = (): Item[] => {
    const heads = new Map([...expiringTopics, ...dirtyTopics]);
    dirtyTopics.clear();
    expiringTopics.clear();
    return [...heads].map(([topic, seq]): Notice => ({ kind: 'advanced', topic, seq })).flatMap(encode);
  };

  const shedWaiting = (): void => {
    for (const { notice } of waiting) downgrade(notice);
    waiting = [];
  };

  const nextItems = (): Item[] => {
    if (!notifier.listening || isAlone()) {
      shedWaiting();
      return [];
    }
    const items = [...waiting, ...takeBehind()];
    waiting = [];
    return items;
  };

  const flush = async (): Promise<void> => {
    if (sending) return;
    for (let items = nextItems(); items.length > 0; items = nextItems()) {
      sending = true;
      try {
        await notifier.send(items.map((item) => item.text));
      } catch {
        // Some may have been sent: a repeat does no harm. Not at once, or a refusal would be asked for without end.
        for (const { notice } of items) downgrade(notice);
        shedWaiting();
        sending = false;
        return;
      }
      // No await between this and the next look at what waits, or what was added in between would stay.
      sending = false;
    }
  };

  return {
    add(notices) {
      const canSend = notifier.listening && !isAlone();
      for (const notice of notices) {
        if (canSend && waiting.length < MAX_WAITING) waiting.push(...encode(notice));
        else downgrade(notice);
      }
      void flush();
    },
    catchUp: () => void flush(),
    forgetOld() {
      // Of others nothing is heard without a connection either: then all of it is still to be told.
      if (!notifier.listening || !isAlone()) return;
      expiringTopics = dirtyTopics;
      dirtyTopics = new Map();
    },
  };
}
