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
    // The log was trimmed past the cursor: show what was sent since, and resume from there.
    async onExpired({ payload }) {
      const conversation = (await readConversations()).find(({ id }) => id === payload.variables?.id);
      if (conversation !== undefined) showMessages(conversation);
      return conversation?.eventCursor;
    },
    onState: ({ status }) => console.log(status === 'live' ? 'Connected.' : 'Connection lost.'),
  },
);

const conversations = await readConversations();
for (const [index, { name, unreadCount }] of conversations.entries())
  console.log(`${index + 1}. ${name}, ${unreadCount} unread`);
console.log('Enter the number of a conversation.');

let open: Conversation | undefined;
/** Ids of messages. */
const shown = new Set<string>();
/** The newest message that was shown, until it is marked as read. */
let unmarked: Message | undefined;
for await (const line of createInterface({ input: process.stdin })) {
  if (open !== undefined) {
    if (line.trim() !== '') await send(open, line).catch(({ message }) => console.error(message));
  } else {
    open = conversations[Number(line) - 1];
    if (open !== undefined) show(open).catch(fail);
  }
}
await client.dispose();

/** Shows the messages of a conversation and its events, each once and in order, also over failures of the connection. */
async function show(conversation: Conversation): Promise<void> {
  const { id, eventCursor } = conversation;
  showMessages(conversation);
  const variables = { id, after: eventCursor };
  const results = client.iterate<{ conversationEvents: ConversationEvent }>({ query: EVENTS, variables });
  for await (const { data } of results) {
    const event = data?.conversationEvents;
    if (event?.__typename === 'MessageSent') showMessage(conversation, event.message);
  }
}

function showMessages(conversation: Conversation): void {
  for (const message of conversation.messages.nodes) showMessage(conversation, message);
}

/** Shows a message, unless it was shown, and marks it as read. */
function showMessage(conversation: Conversation, message: Message): void {
  if (shown.has(message.id)) return;
  shown.add(message.id);
  const { author, text } = message;
  console.log(`${author?.firstName ?? author?.name ?? 'Deleted account'}: ${text}`);
  // Does not wait for the answer, so that many messages are shown without a delay: they share the next mark.
  const isMarking = unmarked !== undefined;
  unmarked = message;
  if (!isMarking) markRead(conversation).catch(fail);
}

/** Marks the newest message that was shown as read, until no other one was shown meanwhile. */
async function markRead({ id }: Conversation): Promise<void> {
  for (let marked: Message | undefined; unmarked !== marked;) {
    marked = unmarked;
    await request(MARK_READ, { id, messageId: marked?.id });
  }
  unmarked = undefined;
}

/** The account does not take part any more, or its session has ended. */
function fail(problem: unknown): void {
  const [error] = Array.isArray(problem) ? problem : [problem];
  console.error(error.message ?? error);
  process.exit(1);
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
