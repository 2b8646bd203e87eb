import pg from 'pg';
import type { Logger } from '../log.ts';
import { openLink } from './reconnecting-client.ts';

const CHANNEL = 'parley';
const CONNECT_TIMEOUT_MS = 5_000;
const MAX_TOGETHER = 500;

/** The longest text that PostgreSQL passes on is below 8,000 bytes. */
export const MAX_NOTIFICATION = 7_900;

export interface NotifierOptions {
  readonly url: string;
  readonly log: Logger;
  /** Called with each text, also with those sent from here. */
  onText(text: string): void;
  /** Called when texts are listened for again after a pause: what was sent meanwhile is lost. */
  onListening(): void;
  /** How long an answer may take before the connection counts as lost. */
  readonly answerTimeoutMs?: number;
}

/** Passes short texts between the processes that use a database. What cannot be sent at once may be lost. */
export interface Notifier extends AsyncDisposable {
  /** Whether texts are passed on at this moment. */
  readonly listening: boolean;
  /** Sends texts of at most `MAX_NOTIFICATION` bytes, together and in this order. Throws when it is not connected. */
  send(texts: readonly string[]): Promise<void>;
  /** Makes sure that the connection is alive; one that is not is replaced. */
  check(): Promise<void>;
}

/** Opens a connection of its own that listens, and opens another one whenever it is lost. Throws when the first fails. */
export async function openNotifier(options: NotifierOptions): Promise<Notifier> {
  const link = await openLink<pg.Client>({
    to: 'the other nodes',
    log: options.log,
    answerTimeoutMs: options.answerTimeoutMs,
    open: (lost) => openListener(options.url, options.onText, lost),
    close: (client) => client.end(),
    onAgain: options.onListening,
  });
  return {
    get listening() {
      return link.connected;
    },
    async send(texts) {
      for (let from = 0; from < texts.length; from += MAX_TOGETHER) {
        const values = [CHANNEL, JSON.stringify(texts.slice(from, from + MAX_TOGETHER))];
        const statement = 'select pg_notify($1, text) from json_array_elements_text($2) as given (text)';
        await link.use((client) => client.query(statement, values));
      }
    },
    check: () => link.use((client) => client.query('select 1')),
    [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
  };
}

async function openListener(
  url: string,
  onText: (text: string) => void,
  lost: (error: unknown) => void,
): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'parley notifications',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  });
  client.on('error', lost);
  client.on('end', () => lost(new Error('The connection was closed')));
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
