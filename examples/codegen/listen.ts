import { createClient } from 'graphql-ws';
import { createSession, webSocketUrl } from '../session.ts';
import { graphql } from './gql/gql.ts';
import type { ConversationEventsSubscription } from './gql/graphql.ts';

const CONVERSATION_EVENTS = graphql(`
  subscription ConversationEvents($id: ID!, $after: Cursor) {
    conversationEvents(conversationId: $id, after: $after) {
      __typename
      cursor
      ... on MessageSent {
        message {
          text
          sentAt
        }
      }
    }
  }
`);

const session = createSession();
const client = createClient({
  url: webSocketUrl,
  connectionParams: async () => ({ token: await session.getToken() }),
  retryAttempts: Infinity,
  shouldRetry: () => true,
});

const variables = { id: 'Conversation:1', after: null as string | null };
const results = client.iterate<ConversationEventsSubscription>({
  query: CONVERSATION_EVENTS.toString(),
  variables,
});
for await (const { data } of results) {
  const event = data?.conversationEvents;
  if (event?.__typename === 'MessageSent') console.log('MessageSent', event.message.text);
  else console.log(event?.__typename);
  if (event) variables.after = event.cursor;
}
