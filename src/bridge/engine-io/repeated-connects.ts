import type { Server as EngineServer, Socket as EngineSocket } from 'engine.io';
import type { Server } from 'socket.io';

/** A CONNECT to the namespace `/` in any spelling, and a DISCONNECT from it. */
const CONNECT = /^0(?:\/(?:\?[^,]*)?)?,?(?:\{.*)?$/s;
const DISCONNECT = /^1(?:\/(?:\?[^,]*)?)?,?$/;

/**
 * Ignores repeated CONNECT and DISCONNECT packets of protocol 3. The server connects such a client to `/` automatically,
 * but clients for Arduino, C++ and Dart send `40` as well. Socket.IO 2 ignored it, as it did a second `41`; Socket.IO 4
 * closes the connection. Call it after Socket.IO is bound to the engine: it wraps the listeners of `data`.
 */
export function ignoreRepeatedConnects(engine: EngineServer, io: Server): void {
  const connected = new WeakSet<EngineSocket>();
  io.on('connection', (socket) => {
    const { conn } = socket;
    connected.add(conn);
    socket.once('disconnect', () => void connected.delete(conn));
  });
  engine.on('connection', (conn: EngineSocket) => {
    if (conn.protocol !== 3) return;
    const listeners = conn.listeners('data');
    conn.removeAllListeners('data');
    conn.on('data', (data: unknown) => {
      const isConnected = connected.has(conn);
      if (typeof data === 'string' && (isConnected ? CONNECT : DISCONNECT).test(data)) return;
      if (typeof data === 'string' && DISCONNECT.test(data)) connected.delete(conn);
      for (const listener of listeners) listener.call(conn, data);
    });
  });
}
