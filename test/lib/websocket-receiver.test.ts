import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { parseInTurn } from '../../src/lib/websocket-receiver.ts';

/** A clock whose turns are always over. */
const busyClock = {
  isOver: () => true,
  nextTurn: () => new Promise<void>((resolve) => void setImmediate(resolve)),
};

/** Opens a WebSocket whose frames are parsed in later turns. Returns both of its ends. */
async function openSockets(stack: AsyncDisposableStack) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  stack.defer(() => server.close());
  await once(server, 'listening');
  const opened = once(server, 'connection') as Promise<[WebSocket, { socket: Socket }]>;
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  stack.defer(() => client.terminate());
  const [socket, { socket: stream }] = await opened;
  stream.prependListener('data', () => parseInTurn(socket, busyClock, 'account'));
  await once(client, 'open');
  return { client, socket };
}

test('a close frame that is parsed in a later turn closes the socket', async () => {
  await using stack = new AsyncDisposableStack();
  const { client, socket } = await openSockets(stack);
  client.close(1000, 'done');
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
  expect([code, reason.toString()]).toEqual([1000, 'done']);
});

test('the reply to a close frame that is parsed in a later turn closes the socket', async () => {
  await using stack = new AsyncDisposableStack();
  const { client, socket } = await openSockets(stack);
  socket.close(1012);
  const [[code]] = (await Promise.all([once(client, 'close'), once(socket, 'close')])) as [[number], unknown];
  expect(code).toBe(1012);
});

test('frames that are parsed in later turns arrive whole and in order', async () => {
  await using stack = new AsyncDisposableStack();
  const { client, socket } = await openSockets(stack);
  const texts = Array.from({ length: 300 }, (_, index) => `${index} ${'x'.repeat(index * 50)}`);
  const received: string[] = [];
  const closed = once(socket, 'close');
  socket.on('message', (data: Buffer) => received.push(data.toString()));
  for (const text of texts) client.send(text);
  client.close();
  await closed;
  expect(received).toEqual(texts);
});
