import { createClient } from '@redis/client';
import { openNotifier } from '../../db/notifier.ts';
import type { Notifier, NotifierConnection, NotifierOptions, NotifierTransport } from '../../db/notifier.ts';
import { CLIENT_OPTIONS, openClusterConnection } from './redis-cluster.ts';

/** Channels of Redis, which finds the subscribers of a channel by its hash: many cost it nothing. */
const SHARDS = 16_384;
/** Redis has no limit of its own. */
const MAX_TEXT_BYTES = 4 * 1024 * 1024;

const TRANSPORT: NotifierTransport = {
  maxTextBytes: MAX_TEXT_BYTES,
  shards: SHARDS,
  open: openConnection,
};

/**
 * Opens a notifier over Redis or a Redis Cluster, for clusters that outgrow LISTEN/NOTIFY. Throws if the first connection
 * fails.
 */
export const openRedisNotifier = (options: NotifierOptions): Promise<Notifier> =>
  openNotifier(TRANSPORT, options);

type Client = ReturnType<typeof createRedisClient>;

const createRedisClient = (url: string) => createClient({ url, ...CLIENT_OPTIONS });

async function openConnection(
  url: string,
  onText: NotifierOptions['onText'],
  onLost: (error: unknown) => void,
): Promise<NotifierConnection> {
  const publisher = createRedisClient(url);
  const subscriber = createRedisClient(url);
  const clients = [publisher, subscriber];
  const close = async (): Promise<void> => {
    for (const client of clients) if (client.isOpen) client.destroy();
  };
  for (const client of clients) {
    client.on('error', onLost);
    client.on('end', () => onLost(new Error('The server closed the connection')));
  }
  try {
    await publisher.connect();
    if (await isOfCluster(publisher)) {
      const connection = await openClusterConnection(url, onText, onLost);
      publisher.removeAllListeners('end').destroy();
      return connection;
    }
    // A connection with a subscription accepts no other commands.
    await subscriber.connect();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    listen: (channels) => subscriber.subscribe([...channels], onText),
    unlisten: (channels) => subscriber.unsubscribe([...channels]),
    send: (messages) => Promise.all(messages.map(({ channel, text }) => publisher.publish(channel, text))),
    check: () => Promise.all(clients.map((client) => client.ping())),
    close,
  };
}

async function isOfCluster(client: Client): Promise<boolean> {
  try {
    return (await client.info('cluster')).includes('cluster_enabled:1');
  } catch {
    // Without the permission, a node of a cluster passes messages on to all others.
    return false;
  }
}
