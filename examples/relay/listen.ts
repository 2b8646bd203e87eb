import { createClient } from 'graphql-ws';
import { resumable } from 'parley/client';
import { createSession, isTokenExpired, webSocketUrl } from '../session.ts';
import { readConversation, subscribeToConversation, watchConversation } from './conversation.ts';
import { createEnvironment } from './environment.ts';

const id = 'Conversation:1';
const session = createSession();
const webSocket = resumable(
  createClient({
    url: webSocketUrl,
    connectionParams: async () => ({ token: await session.getToken() }),
    retryAttempts: 0, // parley/client retries
  }),
  {
    onExpired: async () => (await readConversation(environment, id)).eventCursor,
    shouldRetry(problem) {
      if (!isTokenExpired(problem)) return undefined;
      session.forget();
      return true;
    },
  },
);
const environment = createEnvironment(session, webSocket);

const { eventCursor } = await readConversation(environment, id);
watchConversation(environment, id, (texts) => console.log('shown', texts.length, texts.at(-1)));
subscribeToConversation(environment, id, eventCursor, {
  onEvent(event) {
    if (event.__typename === 'MessageSent') console.log('MessageSent', event.message?.text);
    else console.log(event.__typename);
  },
  onError(error) {
    throw error;
  },
});
