// Peer: what a server must do at least about strangers. It answers requests with 429, keeps the newest WebSockets, and
// answers each of their first messages. Beside it an honest client of Parley notices what an attack costs the machine.
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { listenPeer } from './serve.ts';

const MAX_SOCKETS = 5_000;

const sockets = new Set<WebSocket>();
const handshakes = new WebSocketServer({ noServer: true });
const server = createServer((request, response) => {
  request.resume();
  response.writeHead(429).end();
});

server.on('upgrade', (request, stream, head) =>
  handshakes.handleUpgrade(request, stream, head, (socket) => {
    sockets.add(socket);
    const [oldest] = sockets;
    if (sockets.size > MAX_SOCKETS) oldest?.terminate();
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    socket.once('message', () => socket.send('{"type":"connection_ack"}'));
  }),
);
listenPeer(server);
