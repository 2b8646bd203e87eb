import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';

/** Listens on a free port and reports it to the bench. */
export function listenPeer(server: Server): void {
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
}

/** Listens, publishes the texts that the bench sends, in one turn, and acknowledges them. */
export function servePeer(server: Server, publish: (text: string) => void): void {
  process.on('message', (message: string | readonly string[]) => {
    const texts = typeof message === 'string' ? [message] : message;
    if (texts[0]?.startsWith('probe: ') === true) return;
    for (const text of texts) publish(text);
    process.send?.('done');
  });
  listenPeer(server);
}
