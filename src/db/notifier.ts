import type { Logger } from '../log.ts';
import { openReconnectingClient } from './reconnecting-client.ts';

/** A text and the channel that it is sent on. */
export interface Message {
  readonly channel: string;
  readonly text: string;
}

export interface NotifierOptions {
  readonly url: string;
  readonly log: Logger;
  /** Called with each text of a channel that is listened to, including those that this process sent. */
  onText(text: string, channel: string): void;
  /** Called after each reconnect: texts sent while disconnected are lost. */
  onListening(): void;
  /** The connection counts as lost when the server does not respond within this time. */
  readonly responseTimeoutMs?: number;
}

/** Sends short texts to all processes that listen to a channel of the same server. Delivery is at most once. */
export interface Notifier extends AsyncDisposable {
  /** Whether the connection is open. */
  readonly listening: boolean;
  /** Bytes that a text may have. */
  readonly maxTextBytes: number;
  /** Number of channels over which topics are distributed. */
  readonly shards: number;
  /**
   * Listens to channels, also after each reconnect until `unlisten`. Once it resolves, texts sent from then on are
   * received. Throws while disconnected.
   */
  listen(channels: readonly string[]): Promise<void>;
  unlisten(channels: readonly string[]): Promise<void>;
  /** Sends messages whose texts have at most `maxTextBytes`, in order. Throws while disconnected. */
  send(messages: readonly Message[]): Promise<void>;
  /**
   * Pings the server, and replaces a connection that does not respond. Once it resolves, texts that the server accepted
   * before the call have been received.
   */
  check(): Promise<void>;
}

/** An open connection of a notifier to its server. */
export interface NotifierConnection {
  listen(channels: readonly string[]): Promise<unknown>;
  unlisten(channels: readonly string[]): Promise<unknown>;
  send(messages: readonly Message[]): Promise<unknown>;
  check(): Promise<unknown>;
  close(): Promise<unknown>;
}

/** A kind of server that passes on texts. */
export interface NotifierTransport {
  readonly maxTextBytes: number;
  readonly shards: number;
  /** Opens a connection that calls `onLost` when it is lost. */
  open(
    url: string,
    onText: NotifierOptions['onText'],
    onLost: (error: unknown) => void,
  ): Promise<NotifierConnection>;
}

/** Opens a notifier, which replaces lost connections. Throws if the first connection fails. */
export async function openNotifier(
  { maxTextBytes, shards, open }: NotifierTransport,
  options: NotifierOptions,
): Promise<Notifier> {
  /** Channels to listen to, and those of them that each connection does listen to. */
  const wanted = new Set<string>();
  const listened = new WeakMap<NotifierConnection, Set<string>>();
  const listenToMissing = async (connection: NotifierConnection): Promise<void> => {
    const known = listened.get(connection) ?? new Set();
    listened.set(connection, known);
    const missing = [...wanted].filter((channel) => !known.has(channel));
    if (missing.length === 0) return;
    for (const channel of missing) known.add(channel);
    await connection.listen(missing);
  };

  const client = await openReconnectingClient<NotifierConnection>({
    target: 'the other nodes',
    log: options.log,
    responseTimeoutMs: options.responseTimeoutMs,
    async open(onLost) {
      const connection = await open(options.url, options.onText, onLost);
      try {
        await listenToMissing(connection);
        return connection;
      } catch (error) {
        await connection.close().catch(() => undefined);
        throw error;
      }
    },
    close: (connection) => connection.close(),
    onReconnect() {
      // Channels may have been added while the connection was opened.
      client.use(listenToMissing).then(options.onListening, () => undefined);
    },
  });
  return {
    maxTextBytes,
    shards,
    get listening() {
      return client.connected;
    },
    listen(channels) {
      for (const channel of channels) wanted.add(channel);
      return client.use(listenToMissing);
    },
    async unlisten(channels) {
      for (const channel of channels) wanted.delete(channel);
      await client.use((connection) => {
        const known = listened.get(connection);
        for (const channel of channels) known?.delete(channel);
        return connection.unlisten(channels);
      });
    },
    send: (messages) => client.use((connection) => connection.send(messages)),
    check: () => client.use((connection) => connection.check()),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}
