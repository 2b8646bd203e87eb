import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { SilenceWatch } from '../../src/lib/silence-watch.ts';

const INTERVAL_MS = 2_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'clearInterval'] }));
afterEach(() => void vi.useRealTimers());

/** Opens a WebSocket. Returns both of its ends, the TCP stream of the server, and the number of pings that arrived. */
async function openSocket(stack: AsyncDisposableStack, autoPong: boolean) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  stack.defer(() => server.close());
  await once(server, 'listening');
  const opened = once(server, 'connection') as Promise<[WebSocket, { socket: Socket }]>;
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, { autoPong });
  stack.defer(() => client.terminate());
  let pings = 0;
  client.on('ping', () => (pings += 1));
  const [socket, { socket: stream }] = await opened;
  await once(client, 'open');
  return { client, socket, stream, pingCount: () => pings };
}

/** Advances the clock, and lets the watch work. */
async function advance(ms: number): Promise<void> {
  vi.advanceTimersByTime(ms);
  await nextTurn();
}

test('a client that replies is pinged every 2 s, as long as it is watched', async () => {
  await using stack = new AsyncDisposableStack();
  const { socket, stream, pingCount } = await openSocket(stack, true);
  const watch = new SilenceWatch();
  const onSilent = vi.fn();
  const stops = [watch.add(socket, stream, onSilent), watch.add(socket, stream, () => onSilent())];
  for (let round = 1; round <= 10; round += 1) {
    const replied = once(socket, 'pong');
    await advance(INTERVAL_MS);
    await replied;
    expect(pingCount()).toBe(round);
  }
  stops[0]?.();
  const replied = once(socket, 'pong');
  await advance(INTERVAL_MS);
  await replied;
  stops[1]?.();
  expect(vi.getTimerCount()).toBe(0);
  await advance(INTERVAL_MS);
  expect(onSilent).not.toHaveBeenCalled();
});

test('a client that does not reply to five pings is silent', async () => {
  await using stack = new AsyncDisposableStack();
  const { client, socket, stream, pingCount } = await openSocket(stack, false);
  const watch = new SilenceWatch();
  const [first, second] = [vi.fn(), vi.fn()];
  watch.add(socket, stream, first);
  const stop = watch.add(socket, stream, second);
  for (let round = 0; round < 4; round += 1) await advance(INTERVAL_MS);
  // Anything that it sends is a sign of life.
  const received = once(socket, 'message');
  client.send('here');
  await received;
  for (let round = 0; round < 5; round += 1) await advance(INTERVAL_MS);
  expect(first).not.toHaveBeenCalled();
  await advance(INTERVAL_MS);
  expect([first.mock.calls.length, second.mock.calls.length]).toEqual([1, 1]);
  expect(vi.getTimerCount()).toBe(0);
  stop();
  await expect.poll(pingCount).toBe(9);
});

test('pings do not count while the event loop is blocked, or the client is not read', async () => {
  await using stack = new AsyncDisposableStack();
  const { socket, stream } = await openSocket(stack, true);
  const watch = new SilenceWatch();
  const onSilent = vi.fn();
  watch.add(socket, stream, onSilent);
  await advance(INTERVAL_MS);
  for (let round = 0; round < 20; round += 1) vi.advanceTimersByTime(INTERVAL_MS);
  await nextTurn();
  stream.pause();
  for (let round = 0; round < 20; round += 1) await advance(INTERVAL_MS);
  stream.resume();
  for (let round = 0; round < 5; round += 1) {
    const replied = once(socket, 'pong');
    await advance(INTERVAL_MS);
    await replied;
  }
  expect(onSilent).not.toHaveBeenCalled();
});

test('the pings of many clients are spread, and each is pinged in its turn', async () => {
  await using stack = new AsyncDisposableStack();
  const { stream } = await openSocket(stack, true);
  stream.setMaxListeners(0);
  const watch = new SilenceWatch();
  const pinged: number[] = [];
  for (let client = 0; client < 2_500; client += 1)
    stack.defer(
      watch.add({ ping: () => void pinged.push(client) } as unknown as WebSocket, stream, () => undefined),
    );
  const counts: number[] = [];
  for (let tick = 0; tick < 4; tick += 1) {
    await advance(100);
    counts.push(pinged.length);
  }
  expect(counts).toEqual([1_000, 2_000, 2_500, 2_500]);
  expect(new Set(pinged).size).toBe(2_500);
});
