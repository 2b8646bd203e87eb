import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';

/** Listens, and says where. */
export function listenAsPeer(server: Server): void {
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
}

/** Listens, and publishes each text that the bench sends, saying when that is done. */
export function serveAsPeer(server: Server, publish: (text: string) => void): void {
  process.on('message', (text: string) => {
    if (text.startsWith('probe: ')) return;
    publish(text);
    process.send?.('done');
  });
  listenAsPeer(server);
}
