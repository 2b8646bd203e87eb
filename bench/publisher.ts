import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { Member } from './seed-accounts.ts';

const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';

/** A client that sends messages over one WebSocket. */
export interface Publisher extends AsyncDisposable {
  /** Sends the text to a conversation so many times, in one write. Resolves after the last result. */
  send(conversation: string, text: string, times?: number): Promise<void>;
}

/** Connects to a server, at the URL of its HTTP or WebSockets. */
export async function openPublisher(url: string, token: Member['token']): Promise<Publisher> {
  const { hostname, port } = new URL(url);
  let stream: Socket | undefined;
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
    createConnection: () => (stream = connect(Number(port), hostname)),
  });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const acknowledged = new Promise((resolve) => socket.once('message', resolve));
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }));
  await acknowledged;
  let [number, remaining] = [0, 0];
  let sent = Promise.withResolvers<void>();
  socket.on('message', (data: Buffer) => {
    const text = data.toString();
    if (text.includes('"errors"') || text.includes('"type":"error"'))
      return sent.reject(new Error(`A send failed: ${text}`));
    if (!text.includes('"type":"complete"')) return;
    remaining -= 1;
    if (remaining === 0) sent.resolve();
  });
  socket.on('close', () => sent.reject(new Error('The socket was closed.')));
  return {
    async send(conversation, text, times = 1) {
      sent = Promise.withResolvers();
      remaining = times;
      stream?.cork();
      for (let count = 0; count < times; count += 1) {
        number += 1;
        const payload = { query: SEND, variables: { id: conversation, text } };
        socket.send(JSON.stringify({ id: `${number}`, type: 'subscribe', payload }));
      }
      stream?.uncork();
      await sent.promise;
    },
    [Symbol.asyncDispose]() {
      sent.promise.catch(() => undefined);
      socket.terminate();
      return Promise.resolve();
    },
  };
}
