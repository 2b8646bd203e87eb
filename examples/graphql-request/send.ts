// Reads the newest messages and sends one, over HTTP. Safe to repeat after a failure: the message is sent once.
import { ClientError, gql, GraphQLClient } from 'graphql-request';
import { createSession, graphqlUrl } from '../session.ts';

type Conversation = { name: string; messages: { edges: { node: { text: string } }[] } };

const CONVERSATION = gql`
  query Conversation($id: ID!) {
    conversation(id: $id) {
      name
      messages(last: 20) {
        edges {
          node {
            text
          }
        }
      }
    }
  }
`;

const SEND_MESSAGE = gql`
  mutation SendMessage($id: ID!, $text: String!, $key: String) {
    sendMessage(conversationId: $id, text: $text, idempotencyKey: $key) {
      message {
        text
      }
    }
  }
`;

const session = createSession();
const client = new GraphQLClient(graphqlUrl);

async function send<Data>(document: string, variables: Record<string, unknown>): Promise<Data> {
  const requestHeaders = { authorization: `Bearer ${await session.getToken()}` };
  return client.request<Data>({ document, variables, requestHeaders });
}

/** Sends an operation, and retries once with a new token if the current one has expired. */
async function run<Data>(document: string, variables: Record<string, unknown>): Promise<Data> {
  try {
    return await send(document, variables);
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    if (error.response.errors?.[0]?.extensions.code !== 'UNAUTHENTICATED') throw error;
    session.forget();
    return send(document, variables);
  }
}

const id = 'Conversation:1';
const { conversation } = await run<{ conversation: Conversation }>(CONVERSATION, { id });
for (const { node } of conversation.messages.edges) console.log(conversation.name, node.text);

const [text = 'Hello from graphql-request', key = crypto.randomUUID()] = process.argv.slice(2);
const { sendMessage } = await run<{ sendMessage: { message: { text: string } } }>(SEND_MESSAGE, {
  id,
  text,
  key,
});
console.log('sent', sendMessage.message.text);
