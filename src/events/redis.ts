import { createClient } from '@redis/client';
import type { Notifier, NotifierOptions } from '../db/notify.ts';

const CHANNEL = 'parley';
const LAST_RETRY_MS = 5_000;

/** Passes texts between nodes through Redis, for clusters that outgrow LISTEN/NOTIFY. Throws when it cannot be reached at first. */
export async function openRedisNotifier({
  url,
  log,
  onText,
  onListening,
}: NotifierOptions): Promise<Notifier> {
  const reconnectStrategy = (retries: number) =>
    Math.min(100 * 2 ** retries, LAST_RETRY_MS) * (0.5 + Math.random());
  let opened = false;
  const options = {
    url,
    disableOfflineQueue: true,
    socket: { reconnectStrategy: (retries: number) => opened && reconnectStrategy(retries) },
  };
  const publisher = createClient(options);
  const subscriber = publisher.duplicate();
  for (const client of [publisher, subscriber]) {
    client.on('error', (error: unknown) =>
      log.warn({ err: error }, 'the connection to Redis is lost; connecting again'),
    );
  }
  try {
    await Promise.all([publisher.connect(), subscriber.connect()]);
    await subscriber.subscribe(CHANNEL, onText);
  } catch (error) {
    publisher.destroy();
    subscriber.destroy();
    throw error;
  }
  opened = true;
  // The client subscribes again by itself, before it says that it is ready.
  subscriber.on('ready', onListening);
  onListening();
  return {
    get listening() {
      return publisher.isReady && subscriber.isReady;
    },
    async send(texts) {
      await Promise.all(texts.map((text) => publisher.publish(CHANNEL, text)));
    },
    async check() {
      await publisher.ping();
    },
    async [Symbol.asyncDispose]() {
      publisher.destroy();
      subscriber.destroy();
    },
  };
}
