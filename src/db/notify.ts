import pg from 'pg';
import { Semaphore } from '../lib/semaphore.ts';
import { openNotifier } from './notifier.ts';
import type {
  Message,
  Notifier,
  NotifierConnection,
  NotifierOptions,
  NotifierTransport,
} from './notifier.ts';
import { inspectServer } from './postgres.ts';
import { SESSION_LIMITS } from './session-limits.ts';
import type { SessionLimits } from './session-limits.ts';
import { limitSession } from './session.ts';
import type { SessionTraits } from './session.ts';

const CONNECT_TIMEOUT_MS = 5_000;
const MAX_BATCH_SIZE = 500;

/**
 * Channels of LISTEN/NOTIFY. PostgreSQL compares each notification with every channel of a backend, so more shards cost
 * it more; with fewer, a node receives more events that it has no readers for (docs/decisions/0033-sharded-bus.md).
 */
const SHARDS = 1_024;

/** PostgreSQL limits the payload of NOTIFY to less than 8,000 bytes. */
const MAX_NOTIFICATION_BYTES = 7_900;

/** Opens a notifier over LISTEN and NOTIFY, on a connection outside the pool. Throws if the first connection fails. */
export async function openPostgresNotifier(
  options: NotifierOptions,
  limits: SessionLimits = SESSION_LIMITS,
): Promise<Notifier> {
  const { url, log } = options;
  const { traits } = await inspectServer({ url, log, limits, inactivityTimeoutMs: CONNECT_TIMEOUT_MS });
  const open: NotifierTransport['open'] = (...connection) => openConnection(traits, ...connection);
  return openNotifier({ maxTextBytes: MAX_NOTIFICATION_BYTES, shards: SHARDS, open }, options);
}

async function openConnection(
  traits: SessionTraits,
  url: string,
  onText: NotifierOptions['onText'],
  onLost: (error: unknown) => void,
): Promise<NotifierConnection> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'parley notifications',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  });
  client.on('error', onLost);
  client.on('end', () => onLost(new Error('The server closed the connection')));
  client.on('notification', ({ payload, channel }) => {
    if (payload !== undefined) onText(payload, channel);
  });
  try {
    await client.connect();
    // Above all `tcp_user_timeout`: while a session cannot send to its node, the queue of all notifications grows.
    if (!traits.isPooled) await limitSession(client, traits);
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
  const statements = new Semaphore(1);
  const run = (command: 'listen' | 'unlisten', channels: readonly string[]) =>
    statements.run(() =>
      client.query(channels.map((channel) => `${command} ${pg.escapeIdentifier(channel)}`).join(';')),
    );
  return {
    listen: (channels) => run('listen', channels),
    unlisten: (channels) => run('unlisten', channels),
    send: (messages) => statements.run(() => notify(client, messages)),
    check: () => statements.run(() => client.query('select 1')),
    close: () => client.end(),
  };
}

async function notify(client: pg.Client, messages: readonly Message[]): Promise<void> {
  for (let from = 0; from < messages.length; from += MAX_BATCH_SIZE) {
    const batch = messages.slice(from, from + MAX_BATCH_SIZE);
    await client.query(
      `select pg_notify(channel, text) from rows from (
        json_array_elements_text($1), json_array_elements_text($2)
      ) as input (channel, text)`,
      [JSON.stringify(batch.map(({ channel }) => channel)), JSON.stringify(batch.map(({ text }) => text))],
    );
  }
}
