// Peer: a minimal WebSocket server. The first message of a socket names its room; later messages are sent to the whole room.
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { servePeer } from './serve.ts';

const server = createServer();
const sockets = new WebSocketServer({ server });
const rooms = new Map<string, Set<WebSocket>>();

function joinRoom(name: string, socket: WebSocket): void {
  const room = rooms.get(name) ?? new Set();
  rooms.set(name, room.add(socket));
  socket.once('close', () => room.delete(socket));
  socket.on('message', (data: Buffer) => {
    for (const member of room) member.send(data, { binary: false });
  });
  socket.send('ready');
}

sockets.on('connection', (socket) =>
  socket.once('message', (data: Buffer) => joinRoom(data.toString(), socket)),
);
// Texts of the bench are sent to all sockets.
servePeer(server, (text) => {
  for (const socket of sockets.clients) socket.send(text);
});
