// Without parley/client: after a reconnect it receives new events only. Those in between are lost.
import { createClient } from 'graphql-ws';
import { createSession, webSocketUrl } from '../session.ts';
import { createApolloClient } from './client.ts';
import { CONVERSATION_EVENTS } from './operations.ts';

const session = createSession();
const webSocket = createClient({
  url: webSocketUrl,
  connectionParams: async () => ({ token: await session.getToken() }),
  retryAttempts: Infinity,
  shouldRetry: () => true,
});

createApolloClient(session, webSocket)
  .subscribe({ query: CONVERSATION_EVENTS, variables: { id: 'Conversation:1' } })
  .subscribe(({ data }) => {
    const event = data?.conversationEvents;
    if (event?.__typename === 'MessageSent') console.log('MessageSent', event.message.text);
    else console.log(event?.__typename);
  });
