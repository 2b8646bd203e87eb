import { once } from 'node:events';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { ConnectionSlots } from '../../src/gateway/connection-slots.ts';
import { createHttpPolicy } from '../../src/gateway/http/policy.ts';
import { createHttpServer } from '../../src/gateway/http/server.ts';
import { timeoutsFor } from '../../src/gateway/http/timeouts.ts';
import { createByteLedgers } from '../../src/lib/byte-ledger.ts';
import { TurnClock } from '../../src/lib/turn-clock.ts';
import { createLogger } from '../../src/log.ts';

const KILOBYTE = 1024;
const HEAD = `GET /slow HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(10 * KILOBYTE)}\r\n\r\n`;

/** Starts a server whose responses end when they are released. */
async function startSlowServer() {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const ledgers = createByteLedgers({
    onEvicted: () => undefined,
    totals: { account: 0, anonymous: 100 * KILOBYTE },
  });
  const { server, destroyConnections } = createHttpServer({
    routes: [{ path: '/slow', handle: (_request, response) => released.then(() => void response.end('ok')) }],
    policy: createHttpPolicy(readConfig({})),
    connectionSlots: new ConnectionSlots({ max: 100, isProxy: () => false, onRefused: () => undefined }),
    timeouts: timeoutsFor(75_000, 1),
    turnClock: new TurnClock(),
    findKnownAccount: () => undefined,
    inboundLedgers: ledgers.inbound,
    onResponse: () => undefined,
    log: createLogger('silent'),
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    release,
    heldBytes: () => ledgers.inbound.anonymous.bytes,
    open: () => connect(port, '127.0.0.1').on('error', () => undefined),
    async [Symbol.asyncDispose]() {
      destroyConnections();
      server.close();
    },
  };
}

async function countResponses(socket: Socket, count: number): Promise<void> {
  let text = '';
  while ((text.match(/200 OK/g) ?? []).length < count)
    text += String((await once(socket.setEncoding('utf8'), 'data'))[0]);
}

test('the heads of pipelined requests are held up to a total, beyond it the oldest connection is closed', async () => {
  await using server = await startSlowServer();
  const [first, second] = [server.open(), server.open()];
  const closed = once(first, 'close');
  first.write(HEAD.repeat(8));
  await expect.poll(server.heldBytes).toBeGreaterThan(70 * KILOBYTE);
  second.write(HEAD.repeat(5));
  await closed;
  expect(server.heldBytes()).toBeGreaterThan(40 * KILOBYTE);
  expect(server.heldBytes()).toBeLessThan(50 * KILOBYTE);
  server.release();
  await countResponses(second, 5);
  await expect.poll(server.heldBytes).toBe(0);
  second.destroy();
});

test('a closed connection frees the heads that it held', async () => {
  await using server = await startSlowServer();
  const socket = server.open();
  socket.write(HEAD.repeat(8));
  await expect.poll(server.heldBytes).toBeGreaterThan(70 * KILOBYTE);
  socket.destroy();
  await expect.poll(server.heldBytes).toBe(0);
});
