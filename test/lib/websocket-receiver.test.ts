import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { InflowLimit, UNLIMITED } from '../../src/lib/inflow-limit.ts';
import { limitReceiving } from '../../src/lib/websocket-receiver.ts';
import type { ReceiveLimits } from '../../src/lib/websocket-receiver.ts';

/** A clock whose turns are always over. */
const busyClock = {
  isOver: () => true,
  nextTurn: () => new Promise<void>((resolve) => void setImmediate(resolve)),
};

/** Opens a WebSocket whose frames are parsed in later turns. Returns both of its ends, and the TCP streams below them. */
async function openSockets(stack: AsyncDisposableStack, limits: Partial<ReceiveLimits> = {}) {
  const server = new WebSocketServer({
    port: 0,
    host: '127.0.0.1',
    maxFragments: 100,
    maxPayload: 1_000 * 1_000,
  });
  stack.defer(() => server.close());
  await once(server, 'listening');
  const opened = once(server, 'connection') as Promise<[WebSocket, { socket: Socket }]>;
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  stack.defer(() => client.terminate());
  const upgraded = once(client, 'upgrade') as Promise<[{ socket: Socket }]>;
  const [socket, { socket: stream }] = await opened;
  limitReceiving(socket, stream, {
    turnClock: busyClock,
    inflow: new InflowLimit(UNLIMITED),
    flowOf: () => 'user:1',
    ...limits,
  });
  const [{ socket: clientStream }] = await upgraded;
  return { client, socket, stream, clientStream };
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

/** A clock whose turns are always over, and whose next begins when a test says. */
function createHeldClock() {
  const next = Promise.withResolvers<void>();
  return { isOver: () => true, nextTurn: () => next.promise, begin: next.resolve };
}

const MASK = Buffer.alloc(4);
const maskedFrame = (firstByte: number, body: Buffer | string): Buffer =>
  Buffer.concat([Buffer.from([firstByte, 0x80 | body.length]), MASK, Buffer.from(body)]);

test.for([
  ['too many fragments', Array.from({ length: 101 }, () => maskedFrame(0x00, 'x')), 1008],
  ['an incomplete text in UTF-8', [maskedFrame(0x80, Buffer.from([0xff]))], 1007],
  ['a reserved opcode', [maskedFrame(0x83, 'x')], 1002],
  ['a reserved bit', [maskedFrame(0xf0, 'x')], 1002],
  ['a frame without a mask', [Buffer.from([0x80, 1, 120])], 1002],
  ['a message in a message', [maskedFrame(0x81, 'x')], 1002],
  ['a ping in fragments', [maskedFrame(0x09, 'x')], 1002],
  ['a close frame with an invalid code', [maskedFrame(0x88, Buffer.from([0, 1]))], 1002],
  ['a frame of too many bytes', [Buffer.from([0x80, 0xff, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])], 1009],
] as const)('nothing is parsed behind %s in the same turn', async ([, frames, expectedCode]) => {
  await using stack = new AsyncDisposableStack();
  const clock = createHeldClock();
  const { client, socket, stream, clientStream } = await openSockets(stack, { turnClock: clock });
  const messages: unknown[] = [];
  const errors: unknown[] = [];
  socket.on('message', (data) => messages.push(data)).on('error', (error) => errors.push(error));
  const closed = once(client, 'close') as Promise<[number]>;
  const chunks = [
    maskedFrame(0x01, 'begin'),
    Buffer.concat(frames),
    maskedFrame(0x81, 'behind'),
    maskedFrame(0x00, 'behind'),
    maskedFrame(0x80, 'behind'),
  ];
  for (const chunk of chunks) {
    const arrival = once(stream, 'data');
    clientStream.write(chunk);
    await arrival;
  }
  clock.begin();
  expect((await closed)[0]).toBe(expectedCode);
  expect(errors).toHaveLength(1);
  expect(messages).toEqual([]);
});

const LARGE = 'x'.repeat(400_000);

test('a large message of an anonymous client waits, and small ones and those of accounts do not', async () => {
  await using stack = new AsyncDisposableStack();
  const inflow = new InflowLimit({ bytesPerSecond: 1, burstBytes: 1 });
  const [stranger, other, account] = [
    await openSockets(stack, { inflow, flowOf: () => undefined }),
    await openSockets(stack, { inflow, flowOf: () => undefined }),
    await openSockets(stack, { inflow, flowOf: () => 'user:1' }),
  ];
  let isReceived = false;
  stranger.socket.on('message', () => (isReceived = true));
  const paused = once(stranger.stream, 'pause');
  stranger.client.send(LARGE);
  await paused;
  for (const { client, socket } of [other, account]) {
    const received = once(socket, 'message');
    client.send(client === account.client ? LARGE : 'small');
    await received;
  }
  expect(isReceived).toBe(false);
  // A connection that is lost meanwhile is freed.
  const closed = once(stranger.socket, 'close');
  stranger.client.terminate();
  stranger.stream.destroy();
  await closed;
});
