// Reads a whole conversation in pages of 20, from the newest message to the oldest.
import { createClient } from 'graphql-ws';
import { createSession, webSocketUrl } from '../session.ts';
import { createApolloClient } from './client.ts';
import { CONVERSATION } from './operations.ts';

const client = createApolloClient(createSession(), createClient({ url: webSocketUrl }));
const id = process.argv[2] ?? 'Conversation:1';
const conversation = client.watchQuery({ query: CONVERSATION, variables: { id } });

// The cache merges the pages, and the watched query updates.
const subscription = conversation.subscribe(() => undefined);
let { data } = await conversation.refetch();
while (data?.conversation.messages.pageInfo.hasPreviousPage) {
  const { startCursor } = data.conversation.messages.pageInfo;
  ({ data } = await conversation.fetchMore({ variables: { before: startCursor } }));
}
const result = client.readQuery({ query: CONVERSATION, variables: { id } });
for (const { node } of result?.conversation.messages.edges ?? []) console.log('Message', node.text);
subscription.unsubscribe();
