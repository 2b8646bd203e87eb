// Without parley/client: graphql-ws resends the variables on each reconnect, with their values at that time.
import { createClient } from 'graphql-ws';
import { createSession, webSocketUrl } from '../session.ts';
import { CONVERSATION_EVENTS, print } from './operations.ts';
import type { ConversationEvent } from './operations.ts';

const session = createSession();
const client = createClient({
  url: webSocketUrl,
  connectionParams: async () => ({ token: await session.getToken() }),
  retryAttempts: Infinity,
  shouldRetry: () => true,
});

const variables: { id: string; after?: string } = { id: 'Conversation:1' };
const events = client.iterate<{ conversationEvents: ConversationEvent }>({
  query: CONVERSATION_EVENTS,
  variables,
});
for await (const { data } of events) {
  if (!data) continue;
  print(data.conversationEvents);
  variables.after = data.conversationEvents.cursor;
}
