import { withTimeout } from '../lib/timeout.ts';
import type { Logger } from '../log.ts';

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;
/** A connection that was cut off without a word answers nothing: it is given up after this. */
const ANSWER_TIMEOUT_MS = 10_000;

/** A connection that is replaced whenever it is lost. */
export interface Link<Connection> extends AsyncDisposable {
  readonly connected: boolean;
  /** Runs work on the connection; when that fails, or does not end in time, the connection is lost. Throws when there is none. */
  use(work: (connection: Connection) => Promise<unknown>): Promise<void>;
}

export interface LinkOptions<Connection> {
  /** What it leads to, for the log. */
  readonly to: string;
  readonly log: Logger;
  /** Opens a connection, which says when it is lost. */
  open(lost: (error: unknown) => void): Promise<Connection>;
  close(connection: Connection): Promise<unknown>;
  /** Called when there is a connection again after a pause. */
  onAgain(): void;
  readonly answerTimeoutMs?: number | undefined;
}

/** Opens a link. Throws when the first connection fails. */
export async function openLink<Connection>(options: LinkOptions<Connection>): Promise<Link<Connection>> {
  const { to, log, answerTimeoutMs = ANSWER_TIMEOUT_MS } = options;
  let current: { readonly connection: Connection } | undefined;
  let retryMs = FIRST_RETRY_MS;
  let retry: NodeJS.Timeout | undefined;
  let closed = false;

  const discard = (connection: Connection): Promise<unknown> =>
    options.close(connection).catch(() => undefined);

  const connect = async (): Promise<void> => {
    const state: { lost: boolean; link?: { readonly connection: Connection } } = { lost: false };
    const connection = await options.open((error) => {
      state.lost = true;
      if (state.link !== undefined) lose(state.link, error);
    });
    if (closed || state.lost) {
      await discard(connection);
      if (closed) return;
      throw new Error(`The connection to ${to} was lost while it was opened`);
    }
    state.link = { connection };
    current = state.link;
    retryMs = FIRST_RETRY_MS;
  };
  const lose = (link: { readonly connection: Connection }, error: unknown): void => {
    if (current !== link) return;
    current = undefined;
    log.warn({ err: error }, `the connection to ${to} is lost; connecting again`);
    void discard(link.connection);
    retryLater();
  };
  const retryLater = (): void => {
    if (closed) return;
    const reconnect = (): void => {
      connect()
        .then(() => {
          if (closed) return;
          log.info(`the connection to ${to} is back`);
          options.onAgain();
        })
        .catch((error: unknown) => {
          log.debug({ err: error }, `${to} cannot be reached yet`);
          retryLater();
        });
    };
    // Nodes that lost it together do not come back together.
    retry = setTimeout(reconnect, retryMs * (0.5 + Math.random()));
    retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
  };

  await connect();
  return {
    get connected() {
      return current !== undefined;
    },
    async use(work) {
      const used = current;
      if (used === undefined) throw new Error(`There is no connection to ${to}`);
      try {
        await withTimeout(answerTimeoutMs, work(used.connection));
      } catch (error) {
        lose(used, error);
        throw error;
      }
    },
    async [Symbol.asyncDispose]() {
      closed = true;
      clearTimeout(retry);
      const used = current;
      current = undefined;
      if (used !== undefined) await discard(used.connection);
    },
  };
}
