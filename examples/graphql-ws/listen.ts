import { createClient } from 'graphql-ws';
import { resumable } from 'parley/client';
import { createSession, webSocketUrl } from '../session.ts';
import { CONVERSATION, CONVERSATION_EVENTS, print } from './operations.ts';
import type { Conversation, ConversationEvent } from './operations.ts';

const id = 'Conversation:1';
const session = createSession();
const client = resumable(
  createClient({
    url: webSocketUrl,
    connectionParams: async () => ({ token: await session.getToken() }),
    retryAttempts: 0, // parley/client retries
  }),
  {
    onState: ({ status }) => console.log(status),
    // The log was trimmed past the cursor: show the conversation again, and resume from there.
    onExpired: showConversation,
  },
);

const after = await showConversation();
const events = client.iterate<{ conversationEvents: ConversationEvent }>({
  query: CONVERSATION_EVENTS,
  variables: { id, after },
});
for await (const { data } of events) if (data) print(data.conversationEvents);

/** Shows the newest messages and returns the cursor to subscribe after. */
async function showConversation(): Promise<string> {
  const results = client.iterate<{ conversation: Conversation }>({ query: CONVERSATION, variables: { id } });
  for await (const { data, errors } of results) {
    if (!data) throw new Error(errors?.[0]?.message);
    const { name, messages, eventCursor } = data.conversation;
    console.log(
      name,
      messages.edges.map(({ node }) => node.text),
    );
    return eventCursor;
  }
  throw new Error('The client was disposed.');
}
