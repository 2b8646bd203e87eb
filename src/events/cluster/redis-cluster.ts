import { createCluster } from '@redis/client';
import type { NotifierConnection, NotifierOptions } from '../../db/notifier.ts';
import { COMMON_CHANNEL } from './shards.ts';

const CONNECT_TIMEOUT_MS = 5_000;

/** Lost connections are replaced by the notifier, which then compares with the log. */
export const CLIENT_OPTIONS = {
  disableOfflineQueue: true,
  socket: { reconnectStrategy: false, connectTimeout: CONNECT_TIMEOUT_MS },
} as const;

/**
 * Opens a connection to a Redis Cluster, in which each channel is of one server (sharded pub/sub). The common channel is
 * not, because nodes of older versions subscribe to it on any server.
 */
export async function openClusterConnection(
  url: string,
  onText: NotifierOptions['onText'],
  onLost: (error: unknown) => void,
): Promise<NotifierConnection> {
  const { username, password, protocol } = new URL(url);
  const cluster = createCluster({
    rootNodes: [{ url }],
    // For the nodes that the first one names.
    defaults: {
      ...CLIENT_OPTIONS,
      ...(username !== '' && { username: decodeURIComponent(username) }),
      ...(password !== '' && { password: decodeURIComponent(password) }),
      ...(protocol === 'rediss:' && { socket: { ...CLIENT_OPTIONS.socket, tls: true } }),
    },
  });
  // A server's connection for subscriptions is closed with its last one, which is no loss.
  for (const event of ['error', 'node-error', 'sharded-channel-moved-error'])
    cluster.on(event, (error: unknown) => onLost(error));
  await cluster.connect();
  const shardsOf = (channels: readonly string[]) => channels.filter((channel) => channel !== COMMON_CHANNEL);
  const isCommon = (channels: readonly string[]): boolean => channels.includes(COMMON_CHANNEL);
  return {
    // Channels of one command must be of one slot.
    listen: (channels) =>
      Promise.all([
        ...shardsOf(channels).map((channel) => cluster.sSubscribe(channel, onText)),
        ...(isCommon(channels) ? [cluster.subscribe(COMMON_CHANNEL, onText)] : []),
      ]),
    unlisten: (channels) =>
      Promise.all([
        ...shardsOf(channels).map((channel) => cluster.sUnsubscribe(channel)),
        ...(isCommon(channels) ? [cluster.unsubscribe(COMMON_CHANNEL)] : []),
      ]),
    send: (messages) =>
      Promise.all(
        messages.map(({ channel, text }) =>
          channel === COMMON_CHANNEL ? cluster.publish(channel, text) : cluster.sPublish(channel, text),
        ),
      ),
    check: () =>
      Promise.all(
        cluster.masters
          .flatMap(({ client, pubSub }) => [client, pubSub?.client])
          .filter((client) => client !== undefined)
          .map((client) => client.ping()),
      ),
    async close() {
      if (cluster.isOpen) cluster.destroy();
    },
  };
}
