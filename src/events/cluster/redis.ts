import { createClient } from '@redis/client';
import { openNotifier } from '../../db/notifier.ts';
import type { Notifier, NotifierConnection, NotifierOptions, NotifierTransport } from '../../db/notifier.ts';

const CONNECT_TIMEOUT_MS = 5_000;
/** Channels of Redis, which finds the subscribers of a channel by its hash: many cost it nothing. */
const SHARDS = 16_384;
/** Redis has no limit of its own. */
const MAX_TEXT_BYTES = 4 * 1024 * 1024;

const TRANSPORT: NotifierTransport = {
  maxTextBytes: MAX_TEXT_BYTES,
  shards: SHARDS,
  open: openConnection,
};

/** Opens a notifier over Redis, for clusters that outgrow LISTEN/NOTIFY. Throws if the first connection fails. */
export const openRedisNotifier = (options: NotifierOptions): Promise<Notifier> =>
  openNotifier(TRANSPORT, options);

const createRedisClient = (url: string) =>
  createClient({
    url,
    disableOfflineQueue: true,
    socket: { reconnectStrategy: false, connectTimeout: CONNECT_TIMEOUT_MS },
  });

async function openConnection(
  url: string,
  onText: NotifierOptions['onText'],
  onLost: (error: unknown) => void,
): Promise<NotifierConnection> {
  // Redis accepts no other command on a connection with a subscription.
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
    await Promise.all(clients.map((client) => client.connect()));
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
