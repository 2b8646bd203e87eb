import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Server as EngineServer } from 'engine.io';
import { Server } from 'socket.io';
import { parser } from '../../src/bridge/engine-io/socket-io-parser.ts';
import { createEngineIo } from '../../src/bridge/engine-io/server.ts';

/** A Socket.IO server on the engine of the bridge, which broadcasts each `message` that it receives. */
export interface EchoServer extends AsyncDisposable {
  readonly url: string;
  readonly io: Server;
}

export async function startEchoServer(
  heartbeat = { pingInterval: 25_000, pingTimeout: 60_000 },
  adaptEngine: (engine: EngineServer) => void = () => {},
): Promise<EchoServer> {
  const engine = createEngineIo({ ...heartbeat, transports: ['polling', 'websocket'] });
  adaptEngine(engine);
  const io = new Server({ path: '/socket.io/', serveClient: false, parser });
  io.bind(engine);
  io.on('connection', (socket) => {
    socket.on('message', (payload: unknown) => io.emit('message', payload));
    socket.onAny((...event: unknown[]) => {
      const ack = event.at(-1);
      if (typeof ack === 'function') ack();
    });
    socket.on('client:disconnect', () => socket.disconnect());
  });
  const http = createServer((request, response) => engine.handleRequest(request, response));
  http.on('upgrade', (request, socket, head) => engine.handleUpgrade(request, socket, head));
  await new Promise<void>((resolve) => {
    http.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    io,
    async [Symbol.asyncDispose]() {
      await io.close();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}
