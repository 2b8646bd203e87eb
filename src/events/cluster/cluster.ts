import type { Notifier, NotifierOptions } from '../../db/notifier.ts';
import { shortNodeId } from '../../ids.ts';
import type { Logger } from '../../log.ts';
import { topicOfNotice } from '../bus.ts';
import type { Bus, Notice } from '../bus.ts';
import { COMPARE_INTERVAL_MS } from '../delivery-gate.ts';
import type { Topic } from '../event.ts';
import type { Tails } from '../tail.ts';
import { Confirmations } from './confirmations.ts';
import { watchConnection } from './connection-watch.ts';
import {
  createDecoder,
  decodeConfirmation,
  encodeConfirmation,
  encodePresence,
  isPresenceOfOldNode,
} from './notice-codec.ts';
import type { ReceivedNotice } from './notice-codec.ts';
import { NodeRequestLink } from './node-requests.ts';
import type { NodeRequests } from './node-requests.ts';
import { createNoticeSender } from './notice-sender.ts';
import type { NoticeSender, Traffic } from './notice-sender.ts';
import { COMMON_CHANNEL, createShards } from './shards.ts';

const channelOfNode = (origin: string): string => `parley_node_${origin}`;

const ANNOUNCE_INTERVAL_MS = 5_000;
/** A node that received nothing for this long assumes that it has no peers, or no old ones. */
const NO_PEERS_AFTER_MS = 15_000;
/** A starting node assumes for this long that it has old peers: they announce themselves every 5 s. */
const UNKNOWN_PEERS_MS = 6_000;
/** Shards without topics are listened to for once to twice this time. */
const RELEASE_INTERVAL_MS = 30_000;

export interface ClusterOptions {
  /** URL of the PostgreSQL database that the nodes share, or of the server that `open` connects to. */
  readonly url: string;
  /** LISTEN and NOTIFY, or Redis. */
  readonly open: (options: NotifierOptions) => Promise<Notifier>;
  readonly nodeId: string;
  readonly bus: Bus;
  readonly tails: Tails;
  readonly log: Logger;
  readonly compareMs?: number;
  readonly announceMs?: number;
  readonly noPeersAfterMs?: number;
  readonly unknownPeersMs?: number;
}

export interface Cluster extends AsyncDisposable {
  /** Whether notices of other nodes are received. Otherwise their events are found by comparison with the log. */
  readonly isConnected: boolean;
  readonly requests: NodeRequests;
  readonly traffic: BusTraffic;
}

/** Messages that this node has sent to other nodes, has received from them, and is about to send. */
export interface BusTraffic {
  readonly sent: Readonly<Traffic>;
  readonly received: Readonly<Traffic>;
  readonly queued: Readonly<Traffic>;
}

/**
 * Connects the bus of this process to those of the other nodes, on a connection of its own. A node listens only to the
 * shards of topics that it has readers for. While the connection is lost no notices arrive; after a reconnect, and
 * periodically, the open tails are compared with the log. A node without peers sends only its presence. A joining node
 * announces itself, and then receives the heads of topics that advanced before.
 */
export async function connectCluster(options: ClusterOptions): Promise<Cluster> {
  const { url, open, nodeId, bus, tails, log } = options;
  const { compareMs = COMPARE_INTERVAL_MS, announceMs = ANNOUNCE_INTERVAL_MS } = options;
  const { noPeersAfterMs = NO_PEERS_AFTER_MS, unknownPeersMs = UNKNOWN_PEERS_MS } = options;
  const startedAt = performance.now();
  const origin = shortNodeId(nodeId);
  const confirmations = new Confirmations();
  const received: Traffic = { messages: 0, bytes: 0 };
  /** The sender is set once the notifier, which it needs, is open. */
  const state: { sender?: NoticeSender; receivedAt: number; oldPeersAt: number } = {
    receivedAt: startedAt,
    oldPeersAt: -Infinity,
  };
  const since = (time: number): number => performance.now() - time;
  const hasNoPeers = (): boolean => since(state.receivedAt) > noPeersAfterMs;
  const hasOldPeers = (): boolean => since(state.oldPeersAt) < noPeersAfterMs;
  const mustUseCommonChannel = (): boolean => hasOldPeers() || since(startedAt) < unknownPeersMs;
  const isWanted = (topic: Topic): boolean => bus.hasListeners(topic);
  const decodeShared = createDecoder({ origin, withTopic: false, isWanted });
  const decodeSharded = createDecoder({ origin, withTopic: true, isWanted });

  const receive = (received: ReceivedNotice | undefined): void => {
    if (received === undefined) return;
    const { notice, from, number, mustConfirm } = received;
    const isAccepted = bus.receive(notice);
    if (mustConfirm && isAccepted) void confirm(notice, channelOfNode(from), number);
  };
  /**
   * Confirms a notice once this node has delivered it. An event may have no readers any more, because a comparison with
   * the log was faster and ended their sessions.
   */
  const confirm = async (notice: Notice, channel: string, number: number): Promise<void> => {
    try {
      if (notice.kind === 'event') await tails.whenDelivered(notice.envelope.topic, notice.envelope.seq);
      else if (!isWanted(topicOfNotice(notice))) return;
      await notifier.send([{ channel, text: encodeConfirmation(number, nodeId) }]);
    } catch {
      // The sender waits in vain, and acts as if this node was not reached.
    }
  };
  const noteReceived = (): void => {
    const hadNoPeers = hasNoPeers();
    state.receivedAt = performance.now();
    if (hadNoPeers) state.sender?.catchUp();
  };
  const onText = (text: string, channel: string): void => {
    if (channel === channelOfNode(origin)) {
      const { number, nodeId: from } = decodeConfirmation(text);
      return confirmations.confirm(number, from);
    }
    if (text.startsWith(origin)) return;
    received.messages += 1;
    received.bytes += Buffer.byteLength(text);
    noteReceived();
    if (channel === COMMON_CHANNEL && isPresenceOfOldNode(text)) state.oldPeersAt = performance.now();
    try {
      if (requests.channels.includes(channel)) requests.onText(text, channel);
      else receive(channel === COMMON_CHANNEL ? decodeShared(text) : decodeSharded(text));
    } catch (error) {
      log.error({ err: error }, 'failed to decode cluster message');
    }
  };
  const compare = async (noticesMayArrive: boolean): Promise<void> => {
    try {
      await tails.compare({ noticesMayArrive });
    } catch (error) {
      log.warn({ err: error }, 'comparing open topics with the log failed, retrying');
    }
  };

  const notifier = await open({
    url,
    log,
    onText,
    onListening() {
      // While disconnected nothing could arrive, so peers may exist.
      state.receivedAt = performance.now();
      void announce();
      void compare(false);
    },
  });
  const requests = new NodeRequestLink({ nodeId, origin, notifier, log });
  const shards = createShards(notifier);
  const sender = createNoticeSender({
    origin,
    notifier,
    hasNoPeers,
    commonChannel: COMMON_CHANNEL,
    channelOf: (topic) => (mustUseCommonChannel() ? undefined : shards.channelOf(topic)),
    onFailed: () => confirmations.giveUp(),
  });
  state.sender = sender;
  const announce = async (): Promise<void> => {
    try {
      await notifier.send([{ channel: COMMON_CHANNEL, text: encodePresence(origin) }]);
      sender.catchUp();
    } catch {
      // The notifier logs the failure, and reconnects.
    }
  };
  const connection = watchConnection(notifier, log);
  const timers = [
    setInterval(() => void compare(connection.isConnected), compareMs),
    setInterval(() => {
      sender.expireDirtyTopics();
      void announce();
    }, announceMs),
    setInterval(() => shards.releaseUnused(), RELEASE_INTERVAL_MS),
  ];
  for (const timer of timers) timer.unref();
  await notifier.listen([COMMON_CHANNEL, channelOfNode(origin), ...requests.channels]);
  bus.connect({
    ...shards,
    nodeId,
    send: (notices) => sender.add(notices),
    async sendConfirmed(notice, nodeIds, timeoutMs) {
      const number = sender.addConfirmed(notice);
      // Old nodes do not confirm. A revocation waits for the new ones.
      if (number !== undefined && notice.kind === 'ephemeral' && hasOldPeers()) return new Set(nodeIds);
      return confirmations.expect(number ?? NaN, number === undefined ? [] : nodeIds, timeoutMs);
    },
  });
  await Promise.all([announce(), compare(false)]);

  return {
    get isConnected() {
      return connection.isConnected;
    },
    requests,
    get traffic() {
      return { sent: sender.sent, received, queued: sender.queued };
    },
    async [Symbol.asyncDispose]() {
      for (const timer of timers) clearInterval(timer);
      connection[Symbol.dispose]();
      bus.disconnect();
      confirmations.giveUp();
      requests.giveUp();
      await notifier[Symbol.asyncDispose]();
    },
  };
}
