import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/** A piece of network in front of a server, which a test can let fall silent or cut. */
export interface Relay extends AsyncDisposable {
  readonly port: number;
  /** From now on nothing passes, and nobody is told: as when a cable is pulled. */
  mute(): void;
  /** What connects from now on passes again; what was muted stays so. */
  unmute(): void;
  /** Ends every connection. */
  cut(): void;
  /** Ends every connection, and those to come as soon as they come: as when there is no network. */
  refuse(): void;
  /** Connections pass again. */
  accept(): void;
}

/** Passes on what comes in on a port of 127.0.0.1 to another one. */
export async function openRelay(targetPort: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  let muted = false;
  let refused = false;
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket));
  };
  const server = createServer((incoming) => {
    keep(incoming);
    if (refused) return void incoming.destroy();
    if (muted) return void incoming.pause();
    const outgoing = connect(targetPort, '127.0.0.1');
    keep(outgoing);
    incoming.pipe(outgoing);
    outgoing.pipe(incoming);
    incoming.on('close', () => outgoing.destroy());
    outgoing.on('close', () => incoming.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    mute() {
      muted = true;
      for (const socket of sockets) socket.unpipe().pause();
    },
    unmute: () => void (muted = false),
    cut,
    refuse() {
      refused = true;
      cut();
    },
    accept: () => void (refused = false),
    async [Symbol.asyncDispose]() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
