// Delivery and nothing else: a WebSocket server that sends each text it is given to all of its sockets.
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { serveAsPeer } from './serve.ts';

const server = createServer();
const sockets = new WebSocketServer({ server });
sockets.on('connection', (socket) => socket.on('message', () => socket.send('ready')));
serveAsPeer(server, (text) => {
  for (const socket of sockets.clients) socket.send(text);
});
