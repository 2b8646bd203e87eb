// The peer that does nothing but deliver: a WebSocket server that sends each text it is given to all its sockets.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { WebSocketServer } from 'ws';

const server = createServer();
const sockets = new WebSocketServer({ server });
sockets.on('connection', (socket) => socket.send('ready'));
process.on('message', (text: string) => {
  for (const socket of sockets.clients) socket.send(text);
  process.send?.('done');
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
