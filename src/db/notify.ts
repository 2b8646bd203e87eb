import pg from 'pg';
import type { Logger } from '../log.ts';
import { openReconnectingClient } from './reconnecting-client.ts';

const CHANNEL = 'parley';
const CONNECT_TIMEOUT_MS = 5_000;
const MAX_BATCH_SIZE = 500;

/** PostgreSQL limits the payload of NOTIFY to less than 8,000 bytes. */
export const MAX_NOTIFICATION_BYTES = 7_900;

export interface NotifierOptions {
  readonly url: string;
  readonly log: Logger;
  /** Called with each text, including those that this process sent. */
  onText(text: string): void;
  /** Called after each reconnect: texts sent while disconnected are lost. */
  onListening(): void;
  /** The connection counts as lost when the server does not respond within this time. */
  readonly responseTimeoutMs?: number;
}

/** Sends short texts to all processes that use a database. Delivery is at most once. */
export interface Notifier extends AsyncDisposable {
  /** Whether the connection is open. */
  readonly listening: boolean;
  /** Sends texts of at most `MAX_NOTIFICATION_BYTES`, in order. Throws while disconnected. */
  send(texts: readonly string[]): Promise<void>;
  /** Pings the server, and replaces a connection that does not respond. */
  check(): Promise<void>;
}

/** Opens a notifier over LISTEN and NOTIFY, on a connection outside the pool. Throws if the first connection fails. */
export async function openNotifier(options: NotifierOptions): Promise<Notifier> {
  const listener = await openReconnectingClient<pg.Client>({
    target: 'the other nodes',
    log: options.log,
    responseTimeoutMs: options.responseTimeoutMs,
    open: (onLost) => openListener(options.url, options.onText, onLost),
    close: (client) => client.end(),
    onReconnect: options.onListening,
  });
  return {
    get listening() {
      return listener.connected;
    },
    async send(texts) {
      for (let from = 0; from < texts.length; from += MAX_BATCH_SIZE) {
        const values = [CHANNEL, JSON.stringify(texts.slice(from, from + MAX_BATCH_SIZE))];
        const statement = 'select pg_notify($1, text) from json_array_elements_text($2) as input (text)';
        await listener.use((client) => client.query(statement, values));
      }
    },
    check: () => listener.use((client) => client.query('select 1')),
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  };
}

async function openListener(
  url: string,
  onText: (text: string) => void,
  onLost: (error: unknown) => void,
): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'parley notifications',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  });
  client.on('error', onLost);
  client.on('end', () => onLost(new Error('The server closed the connection')));
  client.on('notification', ({ payload }) => {
    if (payload !== undefined) onText(payload);
  });
  try {
    await client.connect();
    await client.query(`listen ${CHANNEL}`);
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}
