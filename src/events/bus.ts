import type { Logger } from '../log.ts';
import type { Envelope, Ephemeral, Topic } from './event.ts';

/** What a listener is told about a topic: a committed event, news of one without its text, or something unkept. */
export type Notice =
  | { readonly kind: 'event'; readonly envelope: Envelope }
  | { readonly kind: 'advanced'; readonly topic: Topic; readonly seq: number }
  | { readonly kind: 'ephemeral'; readonly ephemeral: Ephemeral };

/** Called synchronously, for each notice. It neither throws nor waits. */
export type Listener = (notice: Notice) => void;

/** Carries notices to other nodes. Delivery may fail or repeat: positions make up for it. */
export interface Link {
  send(notices: readonly Notice[]): void;
}

/** This process's share of the bus: topics to listeners. */
export interface Bus {
  /** Calls the listener for everything on the topic from now on, until the returned function is called. */
  subscribe(topic: Topic, listener: Listener): () => void;
  /** Tells listeners here, then the other nodes. For committed events only `record.ts` calls it. */
  publish(notices: readonly Notice[]): void;
  /** Tells listeners here what another node published. */
  receive(notice: Notice): void;
  /** Connects this process to the other nodes. */
  connect(link: Link): void;
  /** Topics with at least one listener here. */
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
  let link: Link | undefined;

  const receive = (notice: Notice): void => {
    for (const listener of listeners.get(topicOfNotice(notice)) ?? []) {
      try {
        listener(notice);
      } catch (error) {
        log.error({ err: error, topic: topicOfNotice(notice) }, 'a bus listener threw');
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
    connect(to) {
      link = to;
    },
    topics: () => listeners.keys(),
  };
}
