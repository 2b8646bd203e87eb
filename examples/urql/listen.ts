import { createClient } from 'graphql-ws';
import { resumable } from 'parley/client';
import { createSession, isTokenExpired, webSocketUrl } from '../session.ts';
import { createUrqlClient } from './client.ts';
import { CONVERSATION, CONVERSATION_EVENTS } from './operations.ts';

const id = 'Conversation:1';
const session = createSession();
const webSocket = resumable(
  createClient({
    url: webSocketUrl,
    connectionParams: async () => ({ token: await session.getToken() }),
    retryAttempts: 0, // parley/client retries
  }),
  {
    onExpired: async () => (await readConversation()).eventCursor,
    shouldRetry(problem) {
      if (!isTokenExpired(problem)) return undefined;
      session.forget();
      return true;
    },
  },
);
const client = createUrqlClient(session, webSocket);

const { eventCursor } = await readConversation();
client.subscription(CONVERSATION_EVENTS, { id, after: eventCursor }).subscribe(({ data, error }) => {
  if (error) throw error;
  const event = data?.conversationEvents;
  if (event?.__typename === 'MessageSent') console.log('MessageSent', event.message.text);
  else console.log(event?.__typename);
});
// The app renders the cache, which the events update.
client.query(CONVERSATION, { id }).subscribe(({ data }) => {
  const texts = data?.conversation.messages.edges.map(({ node }) => node.text);
  console.log('shown', texts?.length, texts?.at(-1));
});

async function readConversation() {
  const { data, error } = await client.query(CONVERSATION, { id }, { requestPolicy: 'network-only' });
  if (!data) throw error ?? new Error('No data.');
  return data.conversation;
}
