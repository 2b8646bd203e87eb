import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { expect, test } from 'vitest';
import { ConnectionSlots } from '../../src/gateway/connection-slots.ts';
import type { UserId } from '../../src/ids.ts';
import { startTestApp } from '../harness/app.ts';

const MAX_CONNECTIONS = 12;

const userOf = (id: number) => ({ kind: 'user', id: id as UserId }) as const;

/** Opens connections that send nothing, one after the other, and returns those that are still open. */
async function openIdleConnections(url: string, count: number): Promise<ReadonlySet<Socket>> {
  const { hostname, port } = new URL(url);
  const open = new Set<Socket>();
  for (let index = 0; index < count; index += 1) {
    const socket = connect(Number(port), hostname).on('error', () => undefined);
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    await once(socket, 'connect');
  }
  return open;
}

test('connections of strangers make room for each other, and none of a logged-in client ends', async () => {
  await using app = await startTestApp({ env: { MAX_CONNECTIONS: String(MAX_CONNECTIONS) } });
  const ann = await app.createAccount();
  const {
    createCircle: { id },
  } = await ann.graphql.run<{ createCircle: { id: string; legacyId: number } }>(
    'mutation { createCircle(name: "Family") { id legacyId } }',
  );
  const circleId = Number(id.split(':')[1]);
  await using subscription = await ann.subscribeToCircle(id);
  await using webSocketClient = await ann.connectLegacy({ transports: ['websocket'] });
  await using pollingClient = await ann.connectLegacy({ transports: ['polling'] });
  for (const client of [webSocketClient, pollingClient])
    await client.push('join_circle', { circle_id: circleId });
  await using stream = await openEventStream(app.url, ann.token, id);

  const idle = await openIdleConnections(app.url, 5 * MAX_CONNECTIONS);
  await expect.poll(() => idle.size).toBeLessThan(MAX_CONNECTIONS);

  const bob = await app.createAccount();
  await expect(bob.graphql.run('{ me { __typename } }')).resolves.toBeDefined();
  await ann.graphql.run('mutation($id: ID!) { updateCircle(circleId: $id, name: "Flat") { id } }', { id });
  await expect(subscription.nextOf('CircleUpdated')).resolves.toBeDefined();
  for (const client of [webSocketClient, pollingClient])
    await expect(client.expect('circle')).resolves.toMatchObject({ circle_id: circleId });
  await expect(stream.readUntil('CircleUpdated')).resolves.toBeUndefined();
  for (const socket of idle) socket.destroy();
});

test('when all connections are logged in, the newest is refused', async () => {
  await using app = await startTestApp({ env: { MAX_CONNECTIONS: '3' } });
  const ann = await app.createAccount();
  await using first = await openEventStream(app.url, ann.token);
  await using second = await openEventStream(app.url, ann.token);
  await using third = await openEventStream(app.url, ann.token);
  const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
  await once(socket, 'close');
  for (const stream of [first, second, third]) expect(stream.isOpen()).toBe(true);
});

/** Starts a server whose connections are counted. `accept` connects to it, and returns the server's socket. */
async function startSlots(limits: { max: number; maxPerAccount?: number; maxAnonymousPerAddress?: number }) {
  const refused: string[] = [];
  const slots = new ConnectionSlots({
    ...limits,
    isProxy: () => false,
    onRefused: (address) => void refused.push(address),
  });
  const server = createServer((socket) => slots.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const clients: Socket[] = [];
  return {
    slots,
    refused,
    async accept(): Promise<Socket> {
      const accepted = once(server, 'connection') as Promise<[Socket]>;
      clients.push(connect(port, '127.0.0.1').on('error', () => undefined));
      return (await accepted)[0];
    },
    [Symbol.dispose]() {
      for (const client of clients) client.destroy();
      server.close();
    },
  };
}

test('connections of an account beyond its limit make room as those of strangers do', async () => {
  using fixture = await startSlots({ max: 4, maxPerAccount: 2 });
  const { slots, refused, accept } = fixture;
  const [ann, bob] = [userOf(7), userOf(8)];
  const own = [await accept(), await accept(), await accept()] as const;
  for (const socket of own) slots.identify(socket, ann);
  slots.identify(await accept(), bob);
  await accept();
  expect(own.map(({ destroyed }) => destroyed)).toEqual([false, false, true]);
  own[0].destroy();
  await once(own[0], 'close');
  const next = await accept();
  slots.identify(next, ann);
  await accept();
  expect([own[1].destroyed, next.destroyed]).toEqual([false, false]);
  expect(refused).toHaveLength(2);
});

test('each new connection of an address replaces its oldest', async () => {
  using fixture = await startSlots({ max: 10, maxAnonymousPerAddress: 1 });
  const { accept } = fixture;
  const sockets = [await accept(), await accept(), await accept()];
  expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, true, false]);
});

/** Opens a subscription over SSE on a TCP connection of its own. */
async function openEventStream(url: string, token: string, circleId?: string) {
  const { hostname, port, host } = new URL(url);
  const socket = connect(Number(port), hostname).on('error', () => undefined);
  const query =
    circleId === undefined
      ? 'subscription { inboxEvents { __typename } }'
      : `subscription { circleEvents(circleId: "${circleId}") { __typename } }`;
  socket.write(
    [
      `GET /graphql?query=${encodeURIComponent(query)} HTTP/1.1`,
      `Host: ${host}`,
      'Accept: text/event-stream',
      `Authorization: Bearer ${token}`,
      '\r\n',
    ].join('\r\n'),
  );
  let received = '';
  socket.setEncoding('utf8').on('data', (text: string) => (received += text));
  const readUntil = async (text: string): Promise<void> => {
    while (!received.includes(text)) await once(socket, 'data');
  };
  await readUntil('StreamLive');
  return {
    readUntil,
    isOpen: () => !socket.destroyed,
    async [Symbol.asyncDispose]() {
      socket.destroy();
    },
  };
}
