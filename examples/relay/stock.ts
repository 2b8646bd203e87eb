// Without parley/client: after a reconnect it receives new events only. Those in between are lost.
import { createClient } from 'graphql-ws';
import { createSession, webSocketUrl } from '../session.ts';
import { readConversation, subscribeToConversation, watchConversation } from './conversation.ts';
import { createEnvironment } from './environment.ts';

const session = createSession();
const webSocket = createClient({
  url: webSocketUrl,
  connectionParams: async () => ({ token: await session.getToken() }),
  retryAttempts: Infinity,
  shouldRetry: () => true,
});

const id = 'Conversation:1';
const environment = createEnvironment(session, webSocket);

await readConversation(environment, id);
watchConversation(environment, id, (texts) => console.log('shown', texts.length));
subscribeToConversation(environment, id, null, {
  onEvent(event) {
    if (event.__typename === 'MessageSent') console.log('MessageSent', event.message?.text);
    else console.log(event.__typename);
  },
  onError: console.error,
});
