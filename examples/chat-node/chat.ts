// A chat in the terminal: lists the conversations with their unread messages, and opens one.
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { createClient } from 'graphql-ws';
import { resumable } from 'parley/client';
import { CONVERSATIONS, EVENTS, LOG_IN, MARK_READ, SEND } from './operations.ts';
import type { Conversation, Conversations, ConversationEvent, Message } from './operations.ts';

const url = process.env.PARLEY_URL ?? 'http://127.0.0.1:4000';
const [email = 'ann@example.com', password = 'parley'] = process.argv.slice(2);

const headers: Record<string, string> = { 'content-type': 'application/json' };
const { login } = await request<{ login: { token: string } }>(LOG_IN, { email, password });
headers.authorization = `Bearer ${login.token}`;

const client = resumable(
  createClient({
    url: `${url.replace(/^http/, 'ws')}/graphql`,
    connectionParams: { token: login.token },
    retryAttempts: 0, // parley/client retries
  }),
  {
    // The log was trimmed past the cursor: read the conversations again, and resume from there.
    onExpired: async ({ payload }) =>
      (await readConversations()).find(({ id }) => id === payload.variables?.id)?.eventCursor,
    onState: ({ status }) => console.log(status === 'live' ? 'Connected.' : 'Connection lost.'),
  },
);

const conversations = await readConversations();
for (const [index, { name, unreadCount }] of conversations.entries())
  console.log(`${index + 1}. ${name}, ${unreadCount} unread`);
console.log('Enter the number of a conversation.');

let open: Conversation | undefined;
for await (const line of createInterface({ input: process.stdin })) {
  if (open !== undefined) {
    if (line.trim() !== '') await send(open, line);
  } else {
    open = conversations[Number(line) - 1];
    if (open !== undefined) void show(open);
  }
}
await client.dispose();

/** Shows the messages of a conversation and its events, each once and in order, also over failures of the connection. */
async function show(conversation: Conversation): Promise<void> {
  const { id, eventCursor, messages } = conversation;
  messages.nodes.forEach(print);
  const newest = messages.nodes.at(-1);
  if (newest !== undefined) await markRead(conversation, newest);

  const variables = { id, after: eventCursor };
  const results = client.iterate<{ conversationEvents: ConversationEvent }>({ query: EVENTS, variables });
  for await (const { data } of results) {
    const event = data?.conversationEvents;
    if (event?.__typename === 'MessageSent') {
      print(event.message);
      await markRead(conversation, event.message);
    }
  }
}

function print({ author, text }: Message): void {
  console.log(`${author?.firstName ?? author?.name ?? 'Deleted account'}: ${text}`);
}

async function markRead({ id }: Conversation, message: Message): Promise<void> {
  await request(MARK_READ, { id, messageId: message.id });
}

async function send({ id }: Conversation, text: string): Promise<void> {
  await request(SEND, { id, text, key: crypto.randomUUID() });
}

async function readConversations(): Promise<Conversation[]> {
  const { circles } = await request<Conversations>(CONVERSATIONS);
  return circles.nodes.flatMap(({ conversations }) => conversations.nodes);
}

/** Runs an operation, until there is an answer. Each can be repeated: a message is stored once for its key. */
async function request<Data>(query: string, variables: object = {}): Promise<Data> {
  const init = { method: 'POST', headers, body: JSON.stringify({ query, variables }) };
  for (;;) {
    try {
      const response = await fetch(`${url}/graphql`, init);
      const { data, errors } = await response.json();
      if (errors === undefined) return data;
      if (errors[0].extensions.code !== 'UNAVAILABLE') throw new Error(errors[0].message);
    } catch (error) {
      // `fetch` throws a TypeError if the connection fails.
      if (!(error instanceof TypeError)) throw error;
    }
    await pause(1000);
  }
}
