import type { ClientToServerEvents, ServerToClientEvents } from 'parley/socket.io';
import { io } from 'socket.io-client';
import type { Socket } from 'socket.io-client';
import { createSession, url } from '../session.ts';

const session = createSession();
const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, {
  // Called for each connection. Legacy clients connect without a token and emit `authenticate`.
  auth: (send) =>
    void session.getToken().then(
      (token) => send({ token }),
      () => send({}),
    ),
});
let newestMessageId: number | undefined;

// Rooms belong to the connection: join again after each connect, with the last message received.
socket.on('connect', () => {
  socket.emit('join_conversation', { conversation_id: 1, after_message_id: newestMessageId });
});
socket.on('success', (reply) => console.log('success', reply));
socket.on('error', (text) => console.log('error', text));
// A message is sent again when it is edited, and when its files are uploaded.
socket.on('message', (frame) => {
  if (!('message' in frame)) return;
  const { id, content } = frame.message;
  if (newestMessageId !== undefined && id <= newestMessageId) return;
  newestMessageId = id;
  console.log('MessageSent', content);
});
// The session has ended. socket.io-client reconnects in all other cases.
socket.on('disconnect', (reason) => {
  if (reason !== 'io server disconnect') return;
  session.forget();
  socket.connect();
});
