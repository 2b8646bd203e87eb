import type { ResultOf } from 'gql.tada';
import { print } from 'graphql';
import { createClient } from 'graphql-ws';
import { resumable } from 'parley/client';
import { createSession, webSocketUrl } from '../session.ts';
import { graphql } from './graphql.ts';

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
const client = resumable(
  createClient({
    url: webSocketUrl,
    connectionParams: async () => ({ token: await session.getToken() }),
    retryAttempts: 0, // parley/client retries
  }),
);

const results = client.iterate<ResultOf<typeof CONVERSATION_EVENTS>>({
  query: print(CONVERSATION_EVENTS),
  variables: { id: 'Conversation:1' },
});
for await (const { data } of results) {
  const event = data?.conversationEvents;
  if (event?.__typename === 'MessageSent') console.log('MessageSent', event.message.text);
  else console.log(event?.__typename);
}
