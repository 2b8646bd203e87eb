// Reads a conversation backwards, page by page: the cache merges the pages.
import { createClient } from 'graphql-ws';
import { createSession, webSocketUrl } from '../session.ts';
import { createUrqlClient } from './client.ts';
import { CONVERSATION } from './operations.ts';

const client = createUrqlClient(createSession(), createClient({ url: webSocketUrl }));

let { pageInfo } = await readMessages();
while (pageInfo.hasPreviousPage) ({ pageInfo } = await readMessages(pageInfo.startCursor));
const { edges } = await readMessages();
for (const { node } of edges) console.log(node.text);

async function readMessages(before: string | null = null) {
  const { data, error } = await client.query(CONVERSATION, { id: 'Conversation:1', before });
  if (!data) throw error ?? new Error('No data.');
  return data.conversation.messages;
}
