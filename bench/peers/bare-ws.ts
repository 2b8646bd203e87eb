// Delivery and nothing else: what a socket says first names its room, and all that it says later goes to whoever is there.
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { serveAsPeer } from './serve.ts';

const server = createServer();
const sockets = new WebSocketServer({ server });
const rooms = new Map<string, Set<WebSocket>>();

function enter(name: string, socket: WebSocket): void {
  const room = rooms.get(name) ?? new Set();
  rooms.set(name, room.add(socket));
  socket.once('close', () => room.delete(socket));
  socket.on('message', (data: Buffer) => {
    for (const other of room) other.send(data, { binary: false });
  });
  socket.send('ready');
}

sockets.on('connection', (socket) =>
  socket.once('message', (data: Buffer) => enter(data.toString(), socket)),
);
// A text of the bench goes to all.
serveAsPeer(server, (text) => {
  for (const socket of sockets.clients) socket.send(text);
});
