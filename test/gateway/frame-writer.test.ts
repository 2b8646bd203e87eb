import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { UndeliveredResults } from '../../src/gateway/execution/shared-results.ts';
import { createConnection } from '../../src/gateway/websocket/connection.ts';
import { FrameReceiver } from '../../src/gateway/websocket/frame-writer.ts';
import { createByteLedgers } from '../../src/lib/byte-ledger.ts';
import { TurnEnd } from '../../src/lib/turn-end.ts';
import { indexes } from '../harness/numbers.ts';

const LARGE = 'x'.repeat(60_000);

/** Returns the results of events, the first of which has the number `start`. */
function createResults(count: number, start = 0, text = LARGE) {
  const undelivered = new UndeliveredResults();
  for (let seq = start; seq < start + count; seq += 1)
    undelivered.push({
      envelope: { seq } as never,
      result: { result: { data: { seq, text } }, cursor: '' },
      bytes: 1,
    });
  return undelivered.resultsOf(0, count);
}

/** Opens a WebSocket with the receiver of one subscription at its server. */
async function openReceiver(server: WebSocketServer, id: string) {
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const frames: { readonly id: string; readonly payload: { readonly data: { readonly seq: number } } }[] = [];
  client.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString())));
  const [socket, request] = (await once(server, 'connection')) as [WebSocket, IncomingMessage];
  if (client.readyState !== WebSocket.OPEN) await once(client, 'open');
  const options = {
    id,
    address: '',
    userAgent: undefined,
    socket,
    stream: request.socket,
    ledgers: createByteLedgers({ onEvicted: () => undefined }),
    turnEnd: new TurnEnd(),
  };
  const connection = createConnection(options, () => Promise.resolve());
  return { client, frames, stream: request.socket, receiver: new FrameReceiver(connection, id) };
}

test('bytes that the operating system has not taken keep the id of their subscription', async () => {
  await using stack = new AsyncDisposableStack();
  const server = stack.adopt(new WebSocketServer({ port: 0, host: '127.0.0.1' }), (opened) => {
    for (const socket of opened.clients) socket.terminate();
    opened.close();
  });
  await once(server, 'listening');
  const slow = await openReceiver(server, 'a');
  const fast = await openReceiver(server, 'b');
  slow.client.pause();
  let count = 0;
  for (let written = 1; written > 0; count += written) {
    const results = createResults(1, count);
    written = slow.receiver.write(results);
    fast.receiver.write(results);
  }
  expect(slow.stream.writableLength).toBeGreaterThan(0);
  slow.client.resume();
  await expect.poll(() => slow.frames.length).toBe(count);
  expect(slow.frames.map(({ id, payload }) => [id, payload.data.seq])).toEqual(
    indexes(count).map((seq) => ['a', seq]),
  );
  expect(new Set(fast.frames.map(({ id }) => id))).toEqual(new Set(['b']));
});

test('a subscriber that reads nothing is written at most 64 KB and one write, and the rest is left to the log', async () => {
  await using stack = new AsyncDisposableStack();
  const server = stack.adopt(new WebSocketServer({ port: 0, host: '127.0.0.1' }), (opened) => {
    for (const socket of opened.clients) socket.terminate();
    opened.close();
  });
  await once(server, 'listening');
  const { client, receiver, stream, frames } = await openReceiver(server, 'a');
  client.pause();
  const results = createResults(1_000);
  const written = receiver.write(results);
  expect(written).toBeLessThan(results.length);
  expect(stream.writableLength).toBeGreaterThan(64 * 1024);
  expect(stream.writableLength).toBeLessThan(64 * 1024 + 128 * 1024);
  client.resume();
  await expect.poll(() => frames.length).toBe(written);
});
