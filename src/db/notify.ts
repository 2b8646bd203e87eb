import pg from 'pg';
import type { Logger } from '../log.ts';

const CHANNEL = 'parley';
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** A connection that was cut off without a word answers nothing: it is given up after this. */
const ANSWER_TIMEOUT_MS = 10_000;
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
  const { url, log } = options;
  let client: pg.Client | undefined;
  let retryMs = FIRST_RETRY_MS;
  let retry: NodeJS.Timeout | undefined;
  let closed = false;

  const lose = (lost: pg.Client, error: unknown): void => {
    if (client !== lost) return;
    client = undefined;
    log.warn({ err: error }, 'the connection to the other nodes is lost; connecting again');
    void lost.end().catch(() => undefined);
    retryLater();
  };
  const connect = async (): Promise<void> => {
    const fresh = await connectListener(url, (text) => options.onText(text), lose);
    if (closed) return fresh.end();
    client = fresh;
    retryMs = FIRST_RETRY_MS;
  };
  const retryLater = (): void => {
    if (closed) return;
    retry = setTimeout(
      () => {
        connect()
          .then(() => options.onListening())
          .catch((error: unknown) => {
            log.debug({ err: error }, 'the other nodes cannot be reached yet');
            retryLater();
          });
      },
      retryMs * (0.5 + Math.random()),
    );
    retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
  };
  const query = async (text: string, values: unknown[]): Promise<void> => {
    const used = client;
    if (used === undefined) throw new Error('Not connected');
    try {
      await used.query(text, values);
    } catch (error) {
      lose(used, error);
      throw error;
    }
  };

  await connect();
  return {
    get listening() {
      return client !== undefined;
    },
    async send(texts) {
      for (let from = 0; from < texts.length; from += MAX_TOGETHER) {
        const values = [CHANNEL, texts.slice(from, from + MAX_TOGETHER)];
        await query('select pg_notify($1, text) from unnest($2::text[]) as given (text)', values);
      }
    },
    check: () => query('select 1', []),
    async [Symbol.asyncDispose]() {
      closed = true;
      clearTimeout(retry);
      const used = client;
      client = undefined;
      await used?.end().catch(() => undefined);
    },
  };
}

async function connectListener(
  url: string,
  onText: (text: string) => void,
  lose: (client: pg.Client, error: unknown) => void,
): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'parley notifications',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: ANSWER_TIMEOUT_MS,
    keepAlive: true,
  });
  client.on('error', (error) => lose(client, error));
  client.on('end', () => lose(client, new Error('The connection was closed')));
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
