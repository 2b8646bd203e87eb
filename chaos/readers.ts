import { setTimeout as pause } from 'node:timers/promises';
import { inspect } from 'node:util';
import { createClient as createEventStreamClient } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import type { Client, ExecutionResult } from 'graphql-ws';
import { resumable } from 'parley/client';
import { io } from 'socket.io-client';
import { WebSocket } from 'ws';
import type { ReceivedLog } from './delivery-log.ts';
import type { TestAccounts } from './test-accounts.ts';

/** Selects the text repeatedly, so that the events exceed the network buffers of a stalled reader. */
const EVENTS = `subscription ($id: ID!, $after: Cursor) {
  conversationEvents(conversationId: $id, after: $after) {
    __typename cursor ... on MessageSent { message { legacyId text a: text b: text c: text d: text e: text f: text g: text } }
  }
}`;

const PONG_TIMEOUT_MS = 3_000;

/** The start of a scenario: a cursor, and the message at that cursor. */
export interface Start {
  readonly cursor: string;
  readonly messageId: number;
}

interface Event {
  readonly cursor: string;
  readonly message?: { readonly legacyId: number; readonly text: string };
}

/** Reads until the end of the scenario, reconnecting as needed. */
export interface Reader {
  readonly name: string;
  /** Stops reading from the network for a time, like a mobile device without reception. */
  stall?(ms: number): void;
  close(): Promise<void>;
}

export type OpenReader = (accounts: TestAccounts, start: Start, received: ReceivedLog) => Reader;

/** Subscribes once over WebSocket. The retry of graphql-ws sends the newest cursor. */
const openGraphqlReader: OpenReader = (accounts, start, received) => {
  const variables = { id: accounts.conversation.id, after: start.cursor };
  let socket: WebSocket | undefined;
  let pongTimeout: NodeJS.Timeout | undefined;
  const client = createClient({
    url: `${accounts.url.replace('http', 'ws')}/graphql`,
    connectionParams: { token: accounts.bob.token },
    webSocketImpl: WebSocket,
    retryAttempts: Infinity,
    retryWait: () => pause(100),
    shouldRetry: () => true,
    keepAlive: 1_000,
    on: {
      opened: (openedSocket) => void (socket = openedSocket as WebSocket),
      // Detects a half-open connection by a missing pong.
      ping(isReceived) {
        if (isReceived) return;
        const pingedSocket = socket;
        pongTimeout = setTimeout(() => pingedSocket?.terminate(), PONG_TIMEOUT_MS);
      },
      pong: (isReceived) => isReceived && clearTimeout(pongTimeout),
      closed: () => clearTimeout(pongTimeout),
    },
  });
  // An error on the subscription is final, as in every client library.
  const done = (async () => {
    const results = client.iterate<{ conversationEvents: Event }>({ query: EVENTS, variables });
    for await (const { data } of results) {
      if (data == null) throw new Error('An event has no data.');
      const { cursor, message } = data.conversationEvents;
      variables.after = cursor;
      if (message !== undefined) received.add(message.legacyId, message.text);
    }
  })().catch((error: unknown) => reportEnd(received, error));
  return {
    name: received.reader,
    stall(ms) {
      const stalledSocket = socket;
      stalledSocket?.pause();
      setTimeout(() => stalledSocket?.resume(), ms);
    },
    async close() {
      await disposeClient(client);
      await done;
    },
  };
};

/** Disposes a graphql-ws client, which rejects while the server refuses its connection, as it does after a logout. */
export const disposeClient = (client: Client): Promise<void> =>
  Promise.resolve(client.dispose()).catch(() => undefined);

/** The event of a WebSocket that failed has a message of its own. */
const describe = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : inspect(error);

export function reportEnd({ reader, mayEnd }: ReceivedLog, error: unknown): void {
  if (!mayEnd) process.stdout.write(`  ${reader}: the subscription ended: ${describe(error)}\n`);
}

/** Shorter than the default, which is longer than a short run. */
const SILENCE_TIMEOUT_MS = 5_000;

/** Subscribes once through `parley/client`. */
const createReaderOpener =
  (openClient: (accounts: TestAccounts) => ResumableClient): OpenReader =>
  (accounts, start, received) => {
    const client = openClient(accounts);
    const variables = { id: accounts.conversation.id, after: start.cursor };
    client.subscribe(
      { query: EVENTS, variables },
      {
        next({ data }) {
          const { message } = (data as { conversationEvents: Event }).conversationEvents;
          if (message !== undefined) received.add(message.legacyId, message.text);
        },
        error: (error) => reportEnd(received, error),
        complete: () => undefined,
      },
    );
    return { name: received.reader, close: async () => client.dispose() };
  };

interface ResumableClient {
  subscribe(
    payload: { query: string; variables: Record<string, unknown> },
    sink: { next(result: ExecutionResult): void; error(problem: unknown): void; complete(): void },
  ): () => void;
  dispose(): void | Promise<void>;
}

const openResumableWebSocketReader = createReaderOpener(({ url, bob: { token } }) =>
  resumable(
    createClient({
      url: `${url.replace('http', 'ws')}/graphql`,
      connectionParams: { token },
      webSocketImpl: WebSocket,
      // As docs/delivery.md recommends. Its own retries would wait about as long as the outage.
      retryAttempts: 0,
    }),
    { silenceTimeout: SILENCE_TIMEOUT_MS },
  ),
);

const openResumableEventStreamReader = createReaderOpener(({ url, bob: { token } }) =>
  resumable(
    createEventStreamClient({ url: `${url}/graphql`, headers: { authorization: `Bearer ${token}` } }),
    { silenceTimeout: SILENCE_TIMEOUT_MS },
  ),
);

/** Reads Server-Sent Events, and resumes with `Last-Event-ID`. */
const openEventStreamReader: OpenReader = (accounts, start, received) => {
  let lastEventId = start.cursor;
  const readerAbort = new AbortController();
  const readStream = async (): Promise<void> => {
    const requestAbort = new AbortController();
    const startSilenceTimeout = (): NodeJS.Timeout => setTimeout(() => requestAbort.abort(), 15_000);
    let silenceTimeout = startSilenceTimeout();
    try {
      const response = await fetch(`${accounts.url}/graphql`, {
        method: 'POST',
        signal: AbortSignal.any([readerAbort.signal, requestAbort.signal]),
        headers: {
          'content-type': 'application/json',
          accept: 'text/event-stream',
          authorization: `Bearer ${accounts.bob.token}`,
          'last-event-id': lastEventId,
        },
        body: JSON.stringify({ query: EVENTS, variables: { id: accounts.conversation.id } }),
      });
      let text = '';
      for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        clearTimeout(silenceTimeout);
        silenceTimeout = startSilenceTimeout();
        text += chunk;
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
          const frame = text.slice(0, end);
          text = text.slice(end + 2);
          const id = /^id: (.*)$/m.exec(frame)?.[1];
          const data = /^data: (.+)$/m.exec(frame)?.[1];
          if (id === undefined || data === undefined) continue;
          lastEventId = id;
          const result = (JSON.parse(data) as { data: { conversationEvents: Event } | null }).data;
          const message = result?.conversationEvents.message;
          if (message !== undefined) received.add(message.legacyId, message.text);
        }
      }
    } finally {
      clearTimeout(silenceTimeout);
    }
  };
  const done = (async () => {
    while (!readerAbort.signal.aborted) {
      await readStream().catch(() => undefined);
      await pause(100);
    }
  })();
  return {
    name: received.reader,
    async close() {
      readerAbort.abort();
      await done;
    },
  };
};

interface LegacyMessage {
  readonly message?: { readonly id: number; readonly content: string };
  readonly event?: string;
}

/** Reads as a legacy client, which joins again after its newest message. */
const openLegacyReader: OpenReader = (accounts, start, received) => {
  const socket = io(accounts.url, { forceNew: true, reconnectionDelayMax: 500, transports: ['websocket'] });
  socket.on('connect', () => {
    socket.emit('authenticate', { token: accounts.bob.token });
    socket.emit('join_conversation', {
      conversation_id: accounts.conversation.legacyId,
      after_message_id: received.ids.at(-1) ?? start.messageId,
    });
  });
  socket.on('message', ({ message, event }: LegacyMessage) => {
    if (message !== undefined && event === undefined) received.add(message.id, message.content);
  });
  // After a failed request it would be in no room, so it reconnects and joins again.
  socket.on('error', () => void setTimeout(() => socket.disconnect().connect(), 200));
  return {
    name: received.reader,
    stall(ms) {
      const { transport } = socket.io.engine;
      const stalledSocket = (transport as unknown as { ws?: WebSocket }).ws;
      stalledSocket?.pause();
      setTimeout(() => stalledSocket?.resume(), ms);
    },
    async close() {
      socket.close();
    },
  };
};

/** A reader on each transport. */
export const READERS: Readonly<Record<string, OpenReader>> = {
  'graphql-ws': openGraphqlReader,
  'parley/client, graphql-ws': openResumableWebSocketReader,
  'parley/client, graphql-sse': openResumableEventStreamReader,
  'event stream': openEventStreamReader,
  'socket.io 1': openLegacyReader,
  'socket.io 2': openLegacyReader,
};
