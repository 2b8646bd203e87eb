import { createClient } from 'graphql-ws';
import { resumable } from 'parley/client';
import { createSession, isTokenExpired, webSocketUrl } from '../session.ts';
import { createApolloClient } from './client.ts';
import { CONVERSATION, CONVERSATION_EVENTS } from './operations.ts';
import type { Conversation, ConversationEvent } from './operations.ts';

const session = createSession();
const connectionParams = async () => ({ token: await session.getToken() });
// With retryAttempts: 0, because parley/client retries.
const webSocket = resumable(createClient({ url: webSocketUrl, connectionParams, retryAttempts: 0 }), {
  // The log was trimmed past the cursor: query the data again and resume from there.
  onExpired: async () => (await readConversation()).eventCursor,
  shouldRetry(problem) {
    if (!isTokenExpired(problem)) return undefined;
    session.forget();
    return true;
  },
});
const client = createApolloClient(session, webSocket);

const variables = { id: 'Conversation:1' };

async function readConversation(): Promise<Conversation> {
  const { data } = await client.query({ query: CONVERSATION, variables, fetchPolicy: 'network-only' });
  if (!data) throw new Error(`${variables.id} was not found.`);
  return data.conversation;
}

/** Applies an event to the cache. Apollo has already stored its message by id. */
function applyEvent(event: ConversationEvent): void {
  const { cache } = client;
  if (event.__typename === 'MessageDeleted') {
    cache.evict({ id: cache.identify({ __typename: 'Message', id: event.messageId }) });
    cache.gc();
  }
  cache.updateQuery({ query: CONVERSATION, variables }, (data) => {
    if (!data) return undefined;
    const { messages } = data.conversation;
    const edges = [...messages.edges];
    if (event.__typename === 'MessageSent') edges.push({ __typename: 'MessageEdge', node: event.message });
    return {
      conversation: { ...data.conversation, eventCursor: event.cursor, messages: { ...messages, edges } },
    };
  });
}

const { eventCursor } = await readConversation();

// The screen renders the watched query.
client.watchQuery({ query: CONVERSATION, variables }).subscribe(({ data }) => {
  const edges = data?.conversation?.messages?.edges ?? [];
  console.log(`${edges.length} messages, the newest: ${edges.at(-1)?.node?.text}`);
});

client.subscribe({ query: CONVERSATION_EVENTS, variables: { ...variables, after: eventCursor } }).subscribe({
  next({ data, error }) {
    if (error) console.error('Stream ended:', error.message);
    if (!data) return;
    const event = data.conversationEvents;
    applyEvent(event);
    if (event.__typename === 'MessageSent') console.log('MessageSent', event.message.text);
    else console.log(event.__typename);
  },
});
