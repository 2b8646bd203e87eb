import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { NewestFirst } from '../../lib/newest-first.ts';
import { UNKNOWN_ACCOUNTS } from '../../lib/turn-clock.ts';
import type { TurnClock } from '../../lib/turn-clock.ts';
import type { ConnectionSlots } from '../connection-slots.ts';

/**
 * Lets the server read from new connections in turns of the event loop, the newest first. Returns those that wait. Nothing
 * is received from one meanwhile, not even that its client has left.
 */
export function readConnectionsInTurns(
  server: Server,
  turnClock: TurnClock,
  connectionSlots: ConnectionSlots,
): NewestFirst<Socket> {
  // An option of `net.Server`, which `http.createServer` does not pass on: a socket reads nothing before `resume`.
  Object.assign(server, { pauseOnConnect: true });
  const listeners = server.listeners('connection');
  server.removeAllListeners('connection');
  const unread = new NewestFirst<Socket>(
    turnClock,
    // Only the request tells whose connection it is. The request has a turn of its own.
    UNKNOWN_ACCOUNTS,
    ({ destroyed }) => destroyed,
    (socket) => {
      for (const listener of listeners) Reflect.apply(listener, server, [socket]);
      socket.resume();
    },
  );
  server.on('connection', (socket) => {
    turnClock.connectionAccepted();
    connectionSlots.add(socket);
    unread.add(socket);
  });
  return unread;
}
