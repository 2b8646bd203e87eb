import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';

const MAX_CONNECTIONS = 12;

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
