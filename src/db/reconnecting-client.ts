import { withTimeout } from '../lib/timeout.ts';
import type { Logger } from '../log.ts';

const INITIAL_RETRY_MS = 50;
/** With the jitter of 0.5 to 1.5, a server that is back is connected to within 1.5 s. */
const MAX_RETRY_MS = 1_000;
/** A connection that was interrupted without a FIN never responds: it counts as lost after this. */
const RESPONSE_TIMEOUT_MS = 5_000;

/** A connection that is replaced when it is lost. */
export interface ReconnectingClient<Connection> extends AsyncDisposable {
  readonly connected: boolean;
  /**
   * Runs work on the connection. When it fails or times out, the connection counts as lost. Throws while disconnected.
   */
  use(work: (connection: Connection) => Promise<unknown>): Promise<void>;
}

export interface ReconnectingClientOptions<Connection> {
  /** Name of the server, for log and errors. */
  readonly target: string;
  readonly log: Logger;
  /** Opens a connection that calls `onLost` when it is lost. */
  open(onLost: (error: unknown) => void): Promise<Connection>;
  close(connection: Connection): Promise<unknown>;
  onReconnect(): void;
  readonly responseTimeoutMs?: number | undefined;
}

/** Opens a connection and keeps it open. Throws if the first connection fails. */
export async function openReconnectingClient<Connection>(
  options: ReconnectingClientOptions<Connection>,
): Promise<ReconnectingClient<Connection>> {
  const { target, log, responseTimeoutMs = RESPONSE_TIMEOUT_MS } = options;
  let current: { readonly connection: Connection } | undefined;
  let retryMs = INITIAL_RETRY_MS;
  let retry: NodeJS.Timeout | undefined;
  let closed = false;

  const discard = (connection: Connection): Promise<unknown> =>
    options.close(connection).catch(() => undefined);

  const connect = async (): Promise<void> => {
    const state: { isLost: boolean; opened?: { readonly connection: Connection } } = { isLost: false };
    const connection = await options.open((error) => {
      state.isLost = true;
      if (state.opened !== undefined) handleLoss(state.opened, error);
    });
    if (closed || state.isLost) {
      await discard(connection);
      if (closed) return;
      throw new Error(`The connection to ${target} was lost while opening`);
    }
    state.opened = { connection };
    current = state.opened;
    retryMs = INITIAL_RETRY_MS;
  };
  const handleLoss = (opened: { readonly connection: Connection }, error: unknown): void => {
    if (current !== opened) return;
    current = undefined;
    log.warn({ err: error }, `connection to ${target} lost, reconnecting`);
    void discard(opened.connection);
    scheduleReconnect();
  };
  const scheduleReconnect = (): void => {
    if (closed) return;
    const reconnect = (): void => {
      connect()
        .then(() => {
          if (closed) return;
          log.info(`connection to ${target} restored`);
          options.onReconnect();
        })
        .catch((error: unknown) => {
          log.debug({ err: error }, `reconnecting to ${target} failed, retrying`);
          scheduleReconnect();
        });
    };
    // Jitter: nodes that lost the server together must not reconnect together.
    retry = setTimeout(reconnect, retryMs * (0.5 + Math.random()));
    retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
  };

  await connect();
  return {
    get connected() {
      return current !== undefined;
    },
    async use(work) {
      const opened = current;
      if (opened === undefined) throw new Error(`Not connected to ${target}`);
      try {
        await withTimeout(responseTimeoutMs, work(opened.connection));
      } catch (error) {
        handleLoss(opened, error);
        throw error;
      }
    },
    async [Symbol.asyncDispose]() {
      closed = true;
      clearTimeout(retry);
      const opened = current;
      current = undefined;
      if (opened !== undefined) await discard(opened.connection);
    },
  };
}
