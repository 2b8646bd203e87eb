import type { Logger } from '../log.ts';
import type { Envelope, Ephemeral, Topic } from './event.ts';

/** A bus message. */
export type Notice =
  /** A committed event. */
  | { readonly kind: 'event'; readonly envelope: Envelope }
  /** The new head of a topic, without the event: receivers read it from the log. */
  | { readonly kind: 'advanced'; readonly topic: Topic; readonly seq: number }
  /** An item that is not persisted. */
  | { readonly kind: 'ephemeral'; readonly ephemeral: Ephemeral };

/** Called synchronously for each notice. Must neither throw nor block. */
export type Listener = (notice: Notice) => void;

/** Sends notices to other nodes. Delivery may fail or repeat: receivers compare positions. */
export interface ClusterLink {
  send(notices: readonly Notice[]): void;
}

/** Delivers notices to the listeners of a topic, in this process and through the cluster link in others. */
export interface Bus {
  /** Calls the listener for each notice of the topic from now on, until the returned function is called. */
  subscribe(topic: Topic, listener: Listener): () => void;
  /** Delivers to listeners of this process, then to other nodes. Only `transact` publishes committed events. */
  publish(notices: readonly Notice[]): void;
  /** Delivers a notice from another node to listeners of this process. */
  receive(notice: Notice): void;
  connect(link: ClusterLink): void;
  /** Topics with at least one listener in this process. */
  topics(): Iterable<Topic>;
}

const topicOfNotice = (notice: Notice): Topic =>
  notice.kind === 'event'
    ? notice.envelope.topic
    : notice.kind === 'ephemeral'
      ? notice.ephemeral.topic
      : notice.topic;

export function createBus(log: Logger): Bus {
  const listeners = new Map<Topic, Set<Listener>>();
  let link: ClusterLink | undefined;

  const receive = (notice: Notice): void => {
    for (const listener of listeners.get(topicOfNotice(notice)) ?? []) {
      try {
        listener(notice);
      } catch (error) {
        log.error({ err: error, topic: topicOfNotice(notice) }, 'bus listener threw');
      }
    }
  };

  return {
    subscribe(topic, listener) {
      const set = listeners.get(topic) ?? new Set();
      listeners.set(topic, set.add(listener));
      return () => {
        if (set.delete(listener) && set.size === 0 && listeners.get(topic) === set) listeners.delete(topic);
      };
    },
    publish(notices) {
      for (const notice of notices) receive(notice);
      link?.send(notices);
    },
    receive,
    connect(newLink) {
      link = newLink;
    },
    topics: () => listeners.keys(),
  };
}
