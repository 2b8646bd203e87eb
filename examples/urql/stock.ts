// Without parley/client: after a reconnect it receives new events only. Those in between are lost.
import { createClient } from 'graphql-ws';
import { createSession, webSocketUrl } from '../session.ts';
import { createUrqlClient } from './client.ts';
import { CONVERSATION_EVENTS } from './operations.ts';

const session = createSession();
const webSocket = createClient({
  url: webSocketUrl,
  connectionParams: async () => ({ token: await session.getToken() }),
  retryAttempts: Infinity,
  shouldRetry: () => true,
});

createUrqlClient(session, webSocket)
  .subscription(CONVERSATION_EVENTS, { id: 'Conversation:1' })
  .subscribe(({ data, error }) => {
    const event = data?.conversationEvents;
    if (error) console.error(error);
    else if (event?.__typename === 'MessageSent') console.log('MessageSent', event.message.text);
    else console.log(event?.__typename);
  });
