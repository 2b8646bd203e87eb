// Without a cursor: after a reconnect it receives new events only. Those in between are lost.
import { createClient } from 'graphql-sse';
import { createSession, graphqlUrl } from '../session.ts';
import { CONVERSATION_EVENTS, print } from './operations.ts';
import type { ConversationEvent } from './operations.ts';

const session = createSession();
const client = createClient({
  url: graphqlUrl,
  headers: async () => ({ authorization: `Bearer ${await session.getToken()}` }),
  retryAttempts: Infinity,
});

const events = client.iterate<{ conversationEvents: ConversationEvent }>({
  query: CONVERSATION_EVENTS,
  variables: { id: 'Conversation:1' },
});
for await (const { data } of events) if (data) print(data.conversationEvents);
