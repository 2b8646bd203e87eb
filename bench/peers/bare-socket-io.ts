// Peer: a minimal Socket.IO server that emits each payload to one room.
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { servePeer } from './serve.ts';

const server = createServer();
// Heartbeats must not be measured: the bench subtracts them for Parley only.
const io = new Server(server, { serveClient: false, transports: ['websocket'], pingInterval: 3_600_000 });
io.on('connection', (socket) => {
  socket.on('join', async () => {
    await socket.join('room');
    socket.emit('ready');
  });
});
servePeer(server, (text) => io.to('room').emit('message', JSON.parse(text)));
