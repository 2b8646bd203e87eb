import type { ClientToServerEvents, ServerToClientEvents } from 'parley/socket.io';
import { io } from 'socket.io-client';
import type { Socket } from 'socket.io-client';
import { createSession, url } from '../session.ts';

const session = createSession();
const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, {
  // Asked for by each connection. One without a token may still emit `authenticate`, as older clients do.
  auth: (send) =>
    void session.getToken().then(
      (token) => send({ token }),
      () => send({}),
    ),
});
let newest: number | undefined;

// Rooms are the connection's: join again after each, and say what was received last.
socket.on('connect', () => {
  socket.emit('join_conversation', { conversation_id: 1, after_message_id: newest });
});
socket.on('success', (answer) => console.log('success', answer));
socket.on('error', (text) => console.log('error', text));
// A message comes again when it was edited, and when its files have arrived.
socket.on('message', (frame) => {
  if (!('message' in frame)) return;
  const { id, content } = frame.message;
  if (newest !== undefined && id <= newest) return;
  newest = id;
  console.log('MessageSent', content);
});
// The session is over. All else it comes back from by itself.
socket.on('disconnect', (reason) => {
  if (reason !== 'io server disconnect') return;
  session.forget();
  socket.connect();
});
