import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A server that counts requests by method and target. With `close` in the query it responds with nothing, with `status=N` with N. */
export interface CountingServer extends AsyncDisposable {
  readonly port: number;
  readonly counts: Readonly<Record<string, number>>;
}

/** Starts one. While it is not ready, it responds to /readyz with 503, and counts these requests, too. */
export async function countingServer({ isReady = true } = {}): Promise<CountingServer> {
  const counts: Record<string, number> = {};
  const server = createServer((request, response) => {
    const { method = '', url = '', socket } = request;
    if (isReady && url === '/readyz') {
      response.end();
      return;
    }
    const name = `${method} ${url}`;
    counts[name] = (counts[name] ?? 0) + 1;
    request.resume().once('end', () => {
      if (url.includes('close')) socket.destroy();
      else response.writeHead(Number(/status=(\d+)/.exec(url)?.[1] ?? (url === '/readyz' ? 503 : 200))).end();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    counts,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}
