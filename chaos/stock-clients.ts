import { createClient as createEventStreamClient } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import { resumable } from 'parley/client';
import { io } from 'socket.io-client';
import { WebSocket } from 'ws';
import { loadClient } from '../test/clients/load.ts';
import type { LegacyIo } from '../test/clients/load.ts';
import type { ReceivedLog } from './delivery-log.ts';
import type { Movements } from './movements.ts';
import { disposeClient, reportEnd } from './readers.ts';
import type { Start } from './readers.ts';
import type { TestAccounts } from './test-accounts.ts';

const EVENTS = `subscription ($id: ID!, $after: Cursor) {
  conversationEvents(conversationId: $id, after: $after) {
    __typename cursor ... on MessageSent { message { legacyId text } }
  }
}`;

interface Event {
  readonly __typename: string;
  readonly cursor: string;
  readonly message?: { readonly legacyId: number; readonly text: string };
}

export interface ClientOptions {
  readonly accounts: TestAccounts;
  readonly start: Start;
  readonly received: ReceivedLog;
  readonly movements: Movements;
  /** Whether the network is unstable: graphql-ws retries after any failure, as docs/delivery.md recommends. */
  readonly isUnstable: boolean;
}

/** Opens a client with the default delays of its library. Returns a function that closes it. */
type OpenClient = (options: ClientOptions) => () => void;

const openGraphqlWs: OpenClient = ({ accounts, start, received, movements, isUnstable }) => {
  const variables = { id: accounts.conversation.id, after: start.cursor };
  const client = createClient({
    url: `${accounts.url.replace('http', 'ws')}/graphql`,
    connectionParams: { token: accounts.bob.token },
    webSocketImpl: WebSocket,
    ...(isUnstable && { retryAttempts: Infinity, shouldRetry: () => true }),
    on: { closed: () => movements.lost(received) },
  });
  client.subscribe<{ conversationEvents: Event }>(
    { query: EVENTS, variables },
    {
      next({ data }) {
        if (data == null) return;
        const { __typename, cursor, message } = data.conversationEvents;
        variables.after = cursor;
        if (__typename === 'StreamLive') movements.back(received);
        if (message !== undefined) received.add(message.legacyId, message.text);
      },
      error: (error) => reportEnd(received, error),
      complete: () => undefined,
    },
  );
  return () => void disposeClient(client);
};

const openGraphqlSse: OpenClient = ({ accounts, start, received, movements }) => {
  const { token } = accounts.bob;
  const client = resumable(
    createEventStreamClient({
      url: `${accounts.url}/graphql`,
      headers: { authorization: `Bearer ${token}` },
    }),
    { onState: ({ status }) => (status === 'live' ? movements.back(received) : movements.lost(received)) },
  );
  client.subscribe(
    { query: EVENTS, variables: { id: accounts.conversation.id, after: start.cursor } },
    {
      next({ data }) {
        const { message } = (data as { conversationEvents: Event }).conversationEvents;
        if (message !== undefined) received.add(message.legacyId, message.text);
      },
      error: (error) => reportEnd(received, error),
      complete: () => undefined,
    },
  );
  return () => client.dispose();
};

const createLegacyOpener =
  (connect: LegacyIo, transport: 'polling' | 'websocket'): OpenClient =>
  ({ accounts, start, received, movements }) => {
    const socket = connect(accounts.url, { forceNew: true, transports: [transport] });
    let replies = 0;
    socket.on('connect', () => {
      replies = 0;
      socket.emit('authenticate', { token: accounts.bob.token });
      socket.emit('join_conversation', {
        conversation_id: accounts.conversation.legacyId,
        after_message_id: received.ids.at(-1) ?? start.messageId,
      });
    });
    socket.on('success', () => {
      replies += 1;
      if (replies === 2) movements.back(received);
    });
    socket.on('disconnect', () => movements.lost(received));
    socket.on('message', (payload) => {
      const { message, event } = payload as { message?: { id: number; content: string }; event?: string };
      if (message !== undefined && event === undefined) received.add(message.id, message.content);
    });
    return () => void socket.close();
  };

/** The clients of a run, and how many of ten are of each kind. */
export function listClientKinds(): readonly { readonly kind: string; readonly open: OpenClient }[] {
  const current = io as unknown as LegacyIo;
  const old = loadClient('2.5.0');
  const shares: readonly [number, string, OpenClient][] = [
    [4, 'graphql-ws', openGraphqlWs],
    [2, 'graphql-sse', openGraphqlSse],
    [1, 'socket.io 4, WebSocket', createLegacyOpener(current, 'websocket')],
    [1, 'socket.io 4, polling', createLegacyOpener(current, 'polling')],
    [1, 'socket.io 2, WebSocket', createLegacyOpener(old, 'websocket')],
    [1, 'socket.io 2, polling', createLegacyOpener(old, 'polling')],
  ];
  return shares.flatMap(([count, kind, open]) => Array.from({ length: count }, () => ({ kind, open })));
}
