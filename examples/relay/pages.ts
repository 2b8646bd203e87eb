// Reads a conversation backwards, page by page: the connection merges the pages.
import { createClient } from 'graphql-ws';
import { createSession, webSocketUrl } from '../session.ts';
import { readConversation, watchConversation } from './conversation.ts';
import { createEnvironment } from './environment.ts';

const id = 'Conversation:1';
const environment = createEnvironment(createSession(), createClient({ url: webSocketUrl }));

let { pageInfo } = (await readConversation(environment, id)).messages;
const watch = watchConversation(environment, id, (texts) => console.log(texts.length));
while (pageInfo.hasPreviousPage)
  ({ pageInfo } = (await readConversation(environment, id, pageInfo.startCursor)).messages);
watch.dispose();
