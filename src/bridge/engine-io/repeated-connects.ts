import type { Server as EngineServer, Socket as EngineSocket } from 'engine.io';
import type { Server } from 'socket.io';

/** A CONNECT to the namespace `/`, however it is spelt, and a DISCONNECT from it. */
const CONNECT = /^0(?:\/(?:\?[^,]*)?)?,?(?:\{.*)?$/s;
const DISCONNECT = /^1(?:\/(?:\?[^,]*)?)?,?$/;

/**
 * Discards what protocol 3 says again: the server connects such a client to `/` by itself, and clients for Arduino, C++ and
 * Dart send `40` all the same. Socket.IO 2 ignored it, as it did a second `41`; Socket.IO 4 closes the connection.
 * Call it once Socket.IO listens to the engine.
 */
export function discardRepeats(engine: EngineServer, io: Server): void {
  const joined = new WeakSet<EngineSocket>();
  io.on('connection', (socket) => {
    const { conn } = socket;
    joined.add(conn);
    socket.once('disconnect', () => void joined.delete(conn));
  });
  engine.on('connection', (conn: EngineSocket) => {
    if (conn.protocol !== 3) return;
    const readers = conn.listeners('data');
    conn.removeAllListeners('data');
    conn.on('data', (data: unknown) => {
      const isJoined = joined.has(conn);
      if (typeof data === 'string' && (isJoined ? CONNECT : DISCONNECT).test(data)) return;
      if (typeof data === 'string' && DISCONNECT.test(data)) joined.delete(conn);
      for (const read of readers) read.call(conn, data);
    });
  });
}
