// A room emit and nothing else: a Socket.IO server that sends each payload it is given to all in one room.
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { serveAsPeer } from './serve.ts';

const server = createServer();
// Heartbeats are no delivery: the bench takes off what the server does for nobody, and a peer does nothing.
const io = new Server(server, { serveClient: false, transports: ['websocket'], pingInterval: 3_600_000 });
io.on('connection', (socket) => {
  socket.on('join', async () => {
    await socket.join('room');
    socket.emit('ready');
  });
});
serveAsPeer(server, (text) => io.to('room').emit('message', JSON.parse(text)));
