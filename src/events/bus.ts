import { TurnEnd } from '../lib/turn-end.ts';
import type { Logger } from '../log.ts';
import type { SpanOptions, TraceParent, Tracing } from '../tracing.ts';
import type { Envelope, Ephemeral, Topic } from './event.ts';

/** A bus message. */
export type Notice = NoticeBody & {
  /** The span that caused it; undefined if it is not traced. */
  readonly trace?: TraceParent;
};

type NoticeBody =
  /** A committed event. */
  | { readonly kind: 'event'; readonly envelope: Envelope }
  /** The new head of a topic, without the event: receivers read it from the log. */
  | { readonly kind: 'advanced'; readonly topic: Topic; readonly seq: number }
  /** An item that is not persisted. */
  | { readonly kind: 'ephemeral'; readonly ephemeral: Ephemeral };

/** Called synchronously for each notice. Returns false for one that it drops. Must neither throw nor block. */
export type Listener = (notice: Notice) => boolean | void;

/** Connects a bus to those of other nodes. Delivery may fail or repeat: receivers compare positions. */
export interface ClusterLink {
  /** The node of this process. */
  readonly nodeId: string;
  send(notices: readonly Notice[]): void;
  /** Sends a notice, and resolves as `Bus.publishConfirmed` does, with those of the given other nodes. */
  sendConfirmed(notice: Notice, nodeIds: readonly string[], timeoutMs: number): Promise<ReadonlySet<string>>;
  /** Called with a topic that has its first listener in this process: notices of other nodes are wanted. */
  follow(topic: Topic): void;
  /** Called with a topic that has lost its last listener. */
  unfollow(topic: Topic): void;
  /** Resolves once notices of the topic are received, or cannot be for now. Undefined if they are already. */
  whenFollowed(topic: Topic): Promise<void> | undefined;
}

/** Delivers notices to the listeners of a topic, in this process and through the cluster link in others. */
export interface Bus {
  /** When what listeners have sent to the sockets of this process is written. */
  readonly turnEnd: TurnEnd;
  /** Calls the listener for each notice of the topic from now on, until the returned function is called. */
  subscribe(topic: Topic, listener: Listener): () => void;
  /**
   * Resolves once listeners of the topic receive notices of other nodes too, or cannot for now. Undefined if they do
   * already. Events that are committed after it need no comparison with the log.
   */
  whenFollowed(topic: Topic): Promise<void> | undefined;
  /** Delivers to listeners of this process, then to other nodes. Only `transact` publishes committed events. */
  publish(notices: readonly Notice[]): void;
  /**
   * Publishes a notice, and resolves with those of the given nodes that have delivered it: once all have, or when no
   * more can be expected, after `timeoutMs` at the latest.
   */
  publishConfirmed(
    notice: Notice,
    nodeIds: readonly string[],
    timeoutMs: number,
  ): Promise<ReadonlySet<string>>;
  /** Delivers a notice from another node to listeners of this process. Returns false if one drops it. */
  receive(notice: Notice): boolean;
  connect(link: ClusterLink): void;
  disconnect(): void;
  /** Topics with at least one listener in this process. */
  topics(): Iterable<Topic>;
  hasListeners(topic: Topic): boolean;
}

export const topicOfNotice = (notice: Notice): Topic =>
  notice.kind === 'event'
    ? notice.envelope.topic
    : notice.kind === 'ephemeral'
      ? notice.ephemeral.topic
      : notice.topic;

/** Creates a bus. With `tracing`, the spans of publishers travel with their notices, and deliveries are recorded in them. */
export function createBus(log: Logger, tracing?: Tracing): Bus {
  const listeners = new Map<Topic, Set<Listener>>();
  let link: ClusterLink | undefined;

  const deliver = (notice: Notice, subscribers: Iterable<Listener>): boolean => {
    let isAccepted = true;
    for (const listener of subscribers) {
      try {
        if (listener(notice) === false) isAccepted = false;
      } catch (error) {
        log.error({ err: error, topic: topicOfNotice(notice) }, 'bus listener threw');
      }
    }
    return isAccepted;
  };

  const receive = (notice: Notice): boolean => {
    const topic = topicOfNotice(notice);
    const subscribers = listeners.get(topic);
    if (subscribers === undefined) return true;
    if (tracing === undefined || notice.trace === undefined) return deliver(notice, subscribers);
    return tracing.runSync(...deliverySpan(notice, topic), () => deliver(notice, subscribers));
  };

  const withTrace = (notice: Notice): Notice => {
    const trace = notice.trace ?? tracing?.current();
    return trace === undefined ? notice : { ...notice, trace };
  };

  return {
    turnEnd: new TurnEnd(),
    subscribe(topic, listener) {
      const known = listeners.get(topic);
      const set = known ?? new Set();
      listeners.set(topic, set.add(listener));
      if (known === undefined) link?.follow(topic);
      return () => {
        if (!set.delete(listener) || set.size > 0 || listeners.get(topic) !== set) return;
        listeners.delete(topic);
        link?.unfollow(topic);
      };
    },
    whenFollowed: (topic) => link?.whenFollowed(topic),
    publish(notices) {
      const published = tracing === undefined ? notices : notices.map(withTrace);
      for (const notice of published) receive(notice);
      link?.send(published);
    },
    async publishConfirmed(untraced, nodeIds, timeoutMs) {
      const notice = withTrace(untraced);
      const isAccepted = receive(notice);
      // Without other nodes, all connections are of this one.
      if (link === undefined) return new Set(isAccepted ? nodeIds : []);
      const { nodeId } = link;
      const others = nodeIds.filter((id) => id !== nodeId);
      const confirmed = await link.sendConfirmed(notice, others, timeoutMs);
      return isAccepted && others.length < nodeIds.length ? new Set([...confirmed, nodeId]) : confirmed;
    },
    receive,
    connect(newLink) {
      link = newLink;
      for (const topic of listeners.keys()) link.follow(topic);
    },
    disconnect() {
      link = undefined;
    },
    topics: () => listeners.keys(),
    hasListeners: (topic) => listeners.has(topic),
  };
}

function deliverySpan(notice: Notice, topic: Topic): [name: string, options: SpanOptions] {
  const template = topic.slice(0, topic.indexOf(':'));
  const attributes = {
    'messaging.system': 'parley',
    'messaging.operation.name': 'deliver',
    'messaging.operation.type': 'process',
    'messaging.destination.name': topic,
    'messaging.destination.template': template,
    ...(notice.kind === 'event' && { 'messaging.message.id': `${topic}/${notice.envelope.seq}` }),
  };
  return [`deliver ${template}`, { kind: 'consumer', attributes, parent: notice.trace }];
}
