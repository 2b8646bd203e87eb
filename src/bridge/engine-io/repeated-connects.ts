import type { Server as EngineServer, Socket as EngineSocket } from 'engine.io';
import type { Server } from 'socket.io';

/** A CONNECT to the namespace `/` in any spelling: `0`, `0/`, `0/?a=b,{…}`. */
const CONNECT_PACKET = /^0(?:\/(?:\?[^,]*)?)?,?(?:\{.*)?$/s;
/** A DISCONNECT from it. */
const DISCONNECT_PACKET = /^1(?:\/(?:\?[^,]*)?)?,?$/;

/**
 * Ignores repeated CONNECT (`40`) and DISCONNECT (`41`) packets of protocol 3. The server connects such a client to `/`
 * automatically, but clients for Arduino, C++ and Dart send a CONNECT as well. Socket.IO 2 ignored repeated packets of both
 * types; Socket.IO 4 closes the connection. Call this after Socket.IO is bound to the engine: it wraps the listeners of
 * `data`.
 */
export function ignoreRepeatedConnects(engine: EngineServer, io: Server): void {
  const connectedSockets = new WeakSet<EngineSocket>();
  io.on('connection', (socket) => {
    const { conn } = socket;
    connectedSockets.add(conn);
    socket.once('disconnect', () => void connectedSockets.delete(conn));
  });
  engine.on('connection', (conn: EngineSocket) => {
    if (conn.protocol !== 3) return;
    const listeners = conn.listeners('data');
    conn.removeAllListeners('data');
    conn.on('data', (data: unknown) => {
      const isConnected = connectedSockets.has(conn);
      if (typeof data === 'string' && (isConnected ? CONNECT_PACKET : DISCONNECT_PACKET).test(data)) return;
      if (typeof data === 'string' && DISCONNECT_PACKET.test(data)) connectedSockets.delete(conn);
      for (const listener of listeners) listener.call(conn, data);
    });
  });
}
