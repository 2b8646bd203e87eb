// Peer: a minimal WebSocket server. The first message of a socket names its room; later messages are sent to the whole room.
// A frame is encoded once and written to the TCP streams: `send` of `ws` would encode a header and write two buffers each time.
import { createServer } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { servePeer } from './serve.ts';

const server = createServer();
const handshakes = new WebSocketServer({ noServer: true });
const streams = new Set<Duplex>();
const rooms = new Map<string, Set<Duplex>>();

/** Opcode of a text frame that is not continued. */
const TEXT_FRAME = 0x81;
const [SHORT, LENGTH_16] = [125, 126];

function encodeFrame(payload: Buffer): Buffer {
  const { length } = payload;
  const header = length <= SHORT ? [TEXT_FRAME, length] : [TEXT_FRAME, LENGTH_16, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(header), payload]);
}

function sendTo(members: ReadonlySet<Duplex>, payload: Buffer): void {
  const frame = encodeFrame(payload);
  for (const member of members) member.write(frame);
}

function joinRoom(name: string, socket: WebSocket, stream: Duplex): void {
  const room = rooms.get(name) ?? new Set();
  rooms.set(name, room.add(stream));
  socket.once('close', () => room.delete(stream));
  socket.on('message', (data: Buffer) => sendTo(room, data));
  socket.send('ready');
}

server.on('upgrade', (request, stream, head) =>
  handshakes.handleUpgrade(request, stream, head, (socket) => {
    streams.add(stream);
    socket.once('close', () => streams.delete(stream));
    socket.once('message', (data: Buffer) => joinRoom(data.toString(), socket, stream));
  }),
);
// Texts of the bench are sent to all sockets.
servePeer(server, (text) => sendTo(streams, Buffer.from(text)));
