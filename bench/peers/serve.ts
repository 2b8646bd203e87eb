import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';

/** Listens on a free port and reports it to the bench. */
export function listenPeer(server: Server): void {
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
}

/** Listens, publishes each text that the bench sends, and acknowledges it. */
export function servePeer(server: Server, publish: (text: string) => void): void {
  process.on('message', (text: string) => {
    if (text.startsWith('probe: ')) return;
    publish(text);
    process.send?.('done');
  });
  listenPeer(server);
}
