import { createGraphqlClient } from '../../src/testing/index.ts';
import { pause } from '../harness/waiting.ts';

const LOGIN = 'mutation ($email: String!) { login(email: $email, password: "parley") { token } }';
const SEND = `mutation ($id: ID!, $text: String!) {
  sendMessage(conversationId: $id, text: $text, idempotencyKey: $text) { message { id } }
}`;
export const CONVERSATION_ID = 'Conversation:1';

/** Logs a demo account in and returns its token. */
export async function logIn(url: string, email = 'ann@example.com'): Promise<string> {
  await using client = createGraphqlClient(url);
  return (await client.run<{ login: { token: string } }>(LOGIN, { email })).login.token;
}

/** Sends one message, retrying with the same idempotency key until it is acknowledged. */
export async function sendMessage(url: string, token: string, text: string): Promise<void> {
  await using client = createGraphqlClient(url, token);
  for (;;) {
    try {
      await client.run(SEND, { id: CONVERSATION_ID, text });
      return;
    } catch {
      await pause(20);
    }
  }
}

/** Sends messages one after the other until stopped. */
export function startWriter(url: string, token: string): { readonly sent: string[]; stop(): Promise<void> } {
  const sent: string[] = [];
  let isStopped = false;
  const done = (async () => {
    while (!isStopped) {
      const text = `m${sent.length}`;
      await sendMessage(url, token, text);
      sent.push(text);
      await pause(10);
    }
  })();
  return {
    sent,
    async stop() {
      isStopped = true;
      await done;
    },
  };
}
