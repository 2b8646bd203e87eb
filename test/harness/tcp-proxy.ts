import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/** A TCP proxy in front of a server, with which a test simulates network failures. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** Stops forwarding without closing connections, like an unplugged cable. */
  mute(): void;
  /** Forwards new connections again. Muted ones stay muted. */
  unmute(): void;
  /** Closes every connection. */
  disconnectAll(): void;
  /** Closes every connection, and new ones immediately, like a network that is down. */
  refuse(): void;
  /** Accepts new connections again. */
  accept(): void;
}

/** Observes what a connection forwards. */
export interface ConnectionObserver {
  /** Called with what the client has sent, before it is forwarded. Closes the connection instead if it returns false. */
  onRequest(chunk: Buffer): boolean;
  /** Called with what the server has sent. Returns what the client receives, and whether the connection then closes. */
  onResponse(chunk: Buffer): { readonly data: Buffer; readonly isLast: boolean };
}

/** Forwards connections from a free port of 127.0.0.1 to another port. */
export async function openTcpProxy(
  targetPort: number,
  observe?: () => ConnectionObserver,
): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let isMuted = false;
  let isRefusing = false;
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket));
  };
  const server = createServer((incoming) => {
    track(incoming);
    if (isRefusing) return void incoming.destroy();
    if (isMuted) return void incoming.pause();
    const outgoing = connect(targetPort, '127.0.0.1');
    track(outgoing);
    const observer = observe?.();
    if (observer === undefined) {
      incoming.pipe(outgoing);
      outgoing.pipe(incoming);
    } else {
      incoming.on('data', (chunk) =>
        observer.onRequest(chunk) ? void outgoing.write(chunk) : void incoming.destroy(),
      );
      outgoing.on('data', (chunk) => {
        const { data, isLast } = observer.onResponse(chunk);
        incoming.write(data);
        if (!isLast) return;
        outgoing.pause();
        incoming.end();
      });
    }
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
      isMuted = true;
      for (const socket of sockets) socket.unpipe().pause();
    },
    unmute: () => void (isMuted = false),
    disconnectAll,
    refuse() {
      isRefusing = true;
      disconnectAll();
    },
    accept: () => void (isRefusing = false),
    async [Symbol.asyncDispose]() {
      disconnectAll();
      server.close();
      await once(server, 'close');
    },
  };
}
