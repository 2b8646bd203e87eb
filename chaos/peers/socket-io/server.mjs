// Stock Socket.IO with connection state recovery over several nodes: the adapter keeps packets and sessions in Redis.
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-streams-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';

const redis = createClient({ url: process.env.REDIS_URL });
await redis.connect();
let isStopping = false;
const server = createServer((request, response) => response.writeHead(isStopping ? 503 : 200).end());
const io = new Server(server, {
  adapter: createAdapter(redis, { maxLen: 100_000 }),
  connectionStateRecovery: { maxDisconnectionDuration: 120_000, skipMiddlewares: true },
  serveClient: false,
});
io.on('connection', (socket) => {
  if (!socket.recovered) void socket.join('room');
  socket.on('send', (id, acknowledge) => {
    io.to('room').emit('message', id);
    acknowledge();
  });
});
server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('listening'));
async function stop() {
  await io.close();
  // The sessions are stored when the sockets are closed.
  await redis.close();
  process.exit(0);
}

process.once('SIGTERM', () => {
  isStopping = true;
  setTimeout(() => void stop(), Number(process.env.DELAY_MS));
});
