import { createClient } from '@redis/client';
import { openReconnectingClient } from '../../db/reconnecting-client.ts';
import type { Notifier, NotifierOptions } from '../../db/notify.ts';

const CHANNEL = 'parley';
const CONNECT_TIMEOUT_MS = 5_000;

type Client = ReturnType<typeof createRedisClient>;

const createRedisClient = (url: string) =>
  createClient({
    url,
    disableOfflineQueue: true,
    socket: { reconnectStrategy: false, connectTimeout: CONNECT_TIMEOUT_MS },
  });

/** Redis accepts no other command on a connection with a subscription. */
interface Pair {
  readonly publisher: Client;
  readonly subscriber: Client;
}

/** Opens a notifier over Redis, for clusters that outgrow LISTEN/NOTIFY. Throws if the first connection fails. */
export async function openRedisNotifier(options: NotifierOptions): Promise<Notifier> {
  const client = await openReconnectingClient<Pair>({
    target: 'Redis',
    log: options.log,
    responseTimeoutMs: options.responseTimeoutMs,
    open: (onLost) => openPair(options.url, options.onText, onLost),
    close: async (pair) => destroy(pair),
    onReconnect: options.onListening,
  });
  return {
    get listening() {
      return client.connected;
    },
    send: (texts) =>
      client.use(({ publisher }) => Promise.all(texts.map((text) => publisher.publish(CHANNEL, text)))),
    check: () =>
      client.use(({ publisher, subscriber }) => Promise.all([publisher.ping(), subscriber.ping()])),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

async function openPair(
  url: string,
  onText: (text: string) => void,
  onLost: (error: unknown) => void,
): Promise<Pair> {
  const pair = { publisher: createRedisClient(url), subscriber: createRedisClient(url) };
  for (const client of [pair.publisher, pair.subscriber]) {
    client.on('error', onLost);
    client.on('end', () => onLost(new Error('The server closed the connection')));
  }
  try {
    await Promise.all([pair.publisher.connect(), pair.subscriber.connect()]);
    await pair.subscriber.subscribe(CHANNEL, onText);
    return pair;
  } catch (error) {
    destroy(pair);
    throw error;
  }
}

function destroy({ publisher, subscriber }: Pair): void {
  for (const client of [publisher, subscriber]) if (client.isOpen) client.destroy();
}
