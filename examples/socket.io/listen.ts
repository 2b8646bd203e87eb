import { io } from 'socket.io-client';
import { createSession, url } from '../session.ts';

interface MessageFrame {
  readonly message: { readonly id: number; readonly content: string };
}

const session = createSession();
const socket = io(url, {
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
socket.on('success', (text: unknown) => console.log('success', text));
socket.on('error', (text: unknown) => console.log('error', text));
// A message comes again when it was edited, and when its files have arrived.
socket.on('message', ({ message }: MessageFrame) => {
  if (newest !== undefined && message.id <= newest) return;
  newest = message.id;
  console.log('MessageSent', message.content);
});
// The session is over. All else it comes back from by itself.
socket.on('disconnect', (reason) => {
  if (reason !== 'io server disconnect') return;
  session.forget();
  socket.connect();
});
