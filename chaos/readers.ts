import { setTimeout as pause } from 'node:timers/promises';
import { inspect } from 'node:util';
import { createClient as createEventStreamClient } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import type { ExecutionResult } from 'graphql-ws';
import { resumable } from 'parley/client';
import { io } from 'socket.io-client';
import { WebSocket } from 'ws';
import type { Heard } from './delivery-log.ts';
import type { World } from './test-accounts.ts';

/** Long texts are asked for over and over: what waits for a stalled reader outgrows what its network holds. */
const EVENTS = `subscription ($id: ID!, $after: Cursor) {
  conversationEvents(conversationId: $id, after: $after) {
    __typename cursor ... on MessageSent { message { legacyId a: text b: text c: text d: text e: text f: text g: text h: text } }
  }
}`;

const PONG_MS = 3_000;

/** Where the scenario begins: a cursor, and the message that was sent there. */
export interface Begin {
  readonly cursor: string;
  readonly messageId: number;
}

interface Event {
  readonly cursor: string;
  readonly message?: { readonly legacyId: number };
}

/** Reads for as long as the scenario lasts, across whatever happens to its connections. */
export interface Reader {
  readonly name: string;
  /** Stops taking from the network, as a phone in a tunnel would, and goes on later. */
  stall?(ms: number): void;
  close(): Promise<void>;
}

export type OpenReader = (world: World, begin: Begin, heard: Heard) => Reader;

/** Subscribes once over WebSocket: the client library's own retry sends the newest cursor. */
export const readByGraphql: OpenReader = (world, begin, heard) => {
  const variables = { id: world.conversation.id, after: begin.cursor };
  let socket: WebSocket | undefined;
  let silence: NodeJS.Timeout | undefined;
  const client = createClient({
    url: `${world.url.replace('http', 'ws')}/graphql`,
    connectionParams: { token: world.bob.token },
    webSocketImpl: WebSocket,
    retryAttempts: Infinity,
    retryWait: () => pause(100),
    shouldRetry: () => true,
    keepAlive: 1_000,
    on: {
      opened: (opened) => void (socket = opened as WebSocket),
      // A network that swallows everything is noticed by a pong that does not come.
      ping(received) {
        if (received) return;
        const pinged = socket;
        silence = setTimeout(() => pinged?.terminate(), PONG_MS);
      },
      pong: (received) => received && clearTimeout(silence),
      closed: () => clearTimeout(silence),
    },
  });
  // An error on the subscription is final, as it is to every client library.
  const reading = (async () => {
    const results = client.iterate<{ conversationEvents: Event }>({ query: EVENTS, variables });
    for await (const { data } of results) {
      if (data == null) throw new Error('An event has no data.');
      const { cursor, message } = data.conversationEvents;
      variables.after = cursor;
      if (message !== undefined) heard.ids.push(message.legacyId);
    }
  })().catch((error: unknown) => {
    process.stdout.write(`  ${heard.reader}: the subscription ended: ${inspect(error)}\n`);
  });
  return {
    name: heard.reader,
    stall(ms) {
      const stalled = socket;
      stalled?.pause();
      setTimeout(() => stalled?.resume(), ms);
    },
    async close() {
      await client.dispose();
      await reading;
    },
  };
};

/** Half-open connections are noticed this soon: with the default a short run would be over before. */
const SILENCE_MS = 5_000;

/** Subscribes once, through `parley/client` around a client with its own settings. */
const readResumable =
  (openClient: (world: World) => Resumable): OpenReader =>
  (world, begin, heard) => {
    const client = openClient(world);
    const variables = { id: world.conversation.id, after: begin.cursor };
    client.subscribe(
      { query: EVENTS, variables },
      {
        next({ data }) {
          const id = (data as { conversationEvents: Event }).conversationEvents.message?.legacyId;
          if (id !== undefined) heard.ids.push(id);
        },
        error: (error) =>
          void process.stdout.write(`  ${heard.reader}: the subscription ended: ${inspect(error)}\n`),
        complete: () => undefined,
      },
    );
    return { name: heard.reader, close: async () => client.dispose() };
  };

interface Resumable {
  subscribe(
    payload: { query: string; variables: Record<string, unknown> },
    sink: { next(result: ExecutionResult): void; error(problem: unknown): void; complete(): void },
  ): () => void;
  dispose(): void | Promise<void>;
}

export const readResumableSocket = readResumable(({ url, bob: { token } }) =>
  resumable(
    createClient({
      url: `${url.replace('http', 'ws')}/graphql`,
      connectionParams: { token },
      webSocketImpl: WebSocket,
    }),
    { silenceTimeout: SILENCE_MS },
  ),
);

export const readResumableEventStream = readResumable(({ url, bob: { token } }) =>
  resumable(
    createEventStreamClient({ url: `${url}/graphql`, headers: { authorization: `Bearer ${token}` } }),
    { silenceTimeout: SILENCE_MS },
  ),
);

/** Reads Server-Sent Events, and comes back with `Last-Event-ID`. */
export const readByEventStream: OpenReader = (world, begin, heard) => {
  let last = begin.cursor;
  const closing = new AbortController();
  const read = async (): Promise<void> => {
    const connection = new AbortController();
    const silence = (): NodeJS.Timeout => setTimeout(() => connection.abort(), 15_000);
    let timer = silence();
    try {
      const response = await fetch(`${world.url}/graphql`, {
        method: 'POST',
        signal: AbortSignal.any([closing.signal, connection.signal]),
        headers: {
          'content-type': 'application/json',
          accept: 'text/event-stream',
          authorization: `Bearer ${world.bob.token}`,
          'last-event-id': last,
        },
        body: JSON.stringify({ query: EVENTS, variables: { id: world.conversation.id } }),
      });
      let text = '';
      for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        clearTimeout(timer);
        timer = silence();
        text += chunk;
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
          const frame = text.slice(0, end);
          text = text.slice(end + 2);
          const id = /^id: (.*)$/m.exec(frame)?.[1];
          const data = /^data: (.+)$/m.exec(frame)?.[1];
          if (id === undefined || data === undefined) continue;
          last = id;
          const { conversationEvents } = (JSON.parse(data) as { data: { conversationEvents: Event } }).data;
          if (conversationEvents.message !== undefined) heard.ids.push(conversationEvents.message.legacyId);
        }
      }
    } finally {
      clearTimeout(timer);
    }
  };
  const reading = (async () => {
    while (!closing.signal.aborted) {
      await read().catch(() => undefined);
      await pause(100);
    }
  })();
  return {
    name: heard.reader,
    async close() {
      closing.abort();
      await reading;
    },
  };
};

/** An old client in the room, which joins again after the newest message that it has. */
export const readBySocket: OpenReader = (world, begin, heard) => {
  const socket = io(world.url, { forceNew: true, reconnectionDelayMax: 500, transports: ['websocket'] });
  socket.on('connect', () => {
    socket.emit('authenticate', { token: world.bob.token });
    socket.emit('join_conversation', {
      conversation_id: world.conversation.legacyId,
      after_message_id: heard.ids.at(-1) ?? begin.messageId,
    });
  });
  socket.on('message', ({ message, event }: { message?: { id: number }; event?: string }) => {
    if (message !== undefined && event === undefined) heard.ids.push(message.id);
  });
  // A request that failed would leave it in no room: it comes back and asks anew.
  socket.on('error', () => void setTimeout(() => socket.disconnect().connect(), 200));
  return {
    name: heard.reader,
    stall(ms) {
      const { transport } = socket.io.engine;
      const stalled = (transport as unknown as { ws?: WebSocket }).ws;
      stalled?.pause();
      setTimeout(() => stalled?.resume(), ms);
    },
    async close() {
      socket.close();
    },
  };
};
