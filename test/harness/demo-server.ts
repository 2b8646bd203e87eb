import { pause } from './waiting.ts';

// Requests to a server with demo accounts, over plain HTTP.

/** Sends messages sequentially, retrying each until it is acknowledged. */
export interface Writer {
  readonly sent: readonly string[];
  /** Stops sending. Resolves with all texts in the order of sending. */
  stop(): Promise<string[]>;
}

/** The conversation of Ann and Bob. */
export const CONVERSATION_ID = 'Conversation:1';
const PAUSE_MS = 20;

export function openWriter(url: string, token: string): Writer {
  const sent: string[] = [];
  let isStopped = false;
  const sends = (async () => {
    while (!isStopped) {
      const text = `n${sent.length}`;
      await sendMessage(url, token, text);
      sent.push(text);
      await pause(PAUSE_MS);
    }
  })();
  return {
    sent,
    async stop() {
      isStopped = true;
      await sends;
      return sent;
    },
  };
}

/** Sends a message as Ann, once, retrying while the server is down. */
export async function sendMessage(url: string, token: string, text: string): Promise<void> {
  const query = `mutation ($id: ID!, $text: String!) {
    sendMessage(conversationId: $id, text: $text, idempotencyKey: $text) { message { id } }
  }`;
  while (!(await trySend(url, token, { query, variables: { id: CONVERSATION_ID, text } })))
    await pause(PAUSE_MS);
}

/** Logs a demo account in, by default Ann. Returns its token. */
export async function logIn(url: string, email = 'ann@example.com'): Promise<string> {
  const query = 'mutation ($email: String!) { login(email: $email, password: "parley") { token } }';
  const response = await post(url, { query, variables: { email } });
  const { data } = (await response.json()) as { data: { login: { token: string } } };
  return data.login.token;
}

/** Revokes the token. */
export async function logOut(url: string, token: string): Promise<void> {
  await post(url, { query: 'mutation { logout }' }, { authorization: `Bearer ${token}` });
}

async function trySend(url: string, token: string, body: object): Promise<boolean> {
  try {
    const response = await post(url, body, { authorization: `Bearer ${token}` });
    const { errors } = (await response.json()) as { errors?: { extensions: { code: string } }[] };
    if (errors !== undefined && errors[0]?.extensions.code !== 'UNAVAILABLE')
      throw new Error(JSON.stringify(errors));
    return errors === undefined;
  } catch (error) {
    // fetch throws a TypeError when the connection is refused or broken.
    if (error instanceof TypeError || error instanceof SyntaxError) return false;
    throw error;
  }
}

const post = (url: string, body: object, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
