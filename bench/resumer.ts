import { WebSocket } from 'ws';
import type { Member } from './seed-accounts.ts';

/** What a resumed stream selects of a message: its own fields, or also objects that the event does not contain. */
export type Selection = 'small' | 'leaving the event';

const FIELDS: Readonly<Record<Selection, string>> = {
  small: 'id text',
  'leaving the event':
    'id text conversation { id name } author { ... on User { id firstName } } participant { id role }',
};

/** A client that resumes a stream again and again on one socket. */
export interface Resumer extends AsyncDisposable {
  /** Resolves when all missed events and `StreamLive` were received. Throws if an event is missing. */
  resume(after: string, selection: Selection): Promise<void>;
}

export async function openResumer(
  url: string,
  { token, conversation }: Member,
  missed: number,
): Promise<Resumer> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const acknowledged = new Promise((resolve) => socket.once('message', resolve));
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }));
  await acknowledged;
  let id = 0;
  return {
    async resume(after, selection) {
      id += 1;
      const query = `subscription ($id: ID!, $after: Cursor!) { conversationEvents(conversationId: $id, after: $after) {
        __typename ... on MessageSent { message { ${FIELDS[selection]} } } } }`;
      const prefix = `{"id":"${id}"`;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      let received = 0;
      const onMessage = (data: Buffer): void => {
        const text = data.toString();
        if (!text.startsWith(prefix)) return;
        if (text.includes('StreamLive')) resolve();
        else if (text.includes('MessageSent')) received += 1;
        else reject(new Error(`An unexpected frame: ${text}`));
      };
      socket.on('message', onMessage);
      const variables = { id: conversation, after };
      socket.send(JSON.stringify({ id: `${id}`, type: 'subscribe', payload: { query, variables } }));
      await promise;
      socket.off('message', onMessage).send(JSON.stringify({ id: `${id}`, type: 'complete' }));
      if (received !== missed) throw new Error(`${received} of ${missed} events were replayed.`);
    },
    [Symbol.asyncDispose]() {
      socket.terminate();
      return Promise.resolve();
    },
  };
}
