import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/** A TCP proxy in front of a server: a network that a test can silence or disconnect. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** Stops forwarding without closing connections, as when a cable is unplugged. */
  mute(): void;
  /** Forwards new connections again. Muted ones stay muted. */
  unmute(): void;
  /** Closes every connection. */
  disconnectAll(): void;
  /** Closes every connection, and new ones immediately, as when there is no network. */
  refuse(): void;
  /** Accepts new connections again. */
  accept(): void;
}

/** Forwards connections from a free port of 127.0.0.1 to another port. */
export async function openTcpProxy(targetPort: number): Promise<TcpProxy> {
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
  const disconnectAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    mute() {
      muted = true;
      for (const socket of sockets) socket.unpipe().pause();
    },
    unmute: () => void (muted = false),
    disconnectAll,
    refuse() {
      refused = true;
      disconnectAll();
    },
    accept: () => void (refused = false),
    async [Symbol.asyncDispose]() {
      disconnectAll();
      server.close();
      await once(server, 'close');
    },
  };
}
