import { Duplex } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { sendFrame } from '../../src/gateway/websocket/backpressure.ts';
import { createConnection } from '../../src/gateway/websocket/connection.ts';
import { createByteLedgers } from '../../src/lib/byte-ledger.ts';
import { TurnEnd } from '../../src/lib/turn-end.ts';

/** Opens a connection over a stream that records its writes, each a list of chunks, and finishes them on demand. */
function openConnection() {
  const writes: Buffer[][] = [];
  let finish = (): void => undefined;
  const stream = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _encoding, callback) {
      writes.push([chunk]);
      finish = callback;
    },
    writev(chunks, callback) {
      writes.push(chunks.map(({ chunk }) => chunk as Buffer));
      finish = callback;
    },
  });
  const socket = { readyState: WebSocket.OPEN } as WebSocket;
  const ledgers = createByteLedgers({ onEvicted: () => undefined });
  const options = {
    id: '1',
    address: '127.0.0.1',
    userAgent: undefined,
    socket,
    stream,
    ledgers,
    turnEnd: new TurnEnd(),
  };
  return { connection: createConnection(options, async () => undefined), writes, finish: () => finish() };
}

test('a result and its completion are one write of two frames', async () => {
  const { connection, writes } = openConnection();
  expect(sendFrame(connection, '{"type":"next"}')).toBeUndefined();
  expect(sendFrame(connection, '{"type":"complete","id":"é"}')).toBeUndefined();
  expect(writes).toEqual([]);
  await nextTurn();
  const frames = writes.map((chunks) => chunks.map((frame) => frame.toString('latin1')));
  expect(frames).toEqual([['\u0081\u000f{"type":"next"}', '\u0081\u001d{"type":"complete","id":"Ã©"}']]);
});

test('a frame beyond the high-water mark is awaited', async () => {
  const { connection, writes, finish } = openConnection();
  let isFlushed = false;
  const flushed = sendFrame(connection, 'x'.repeat(70_000))?.then(() => (isFlushed = true));
  await nextTurn();
  expect(isFlushed).toBe(false);
  expect(writes[0]?.[0]?.subarray(0, 2)).toEqual(Buffer.from([0x81, 127]));
  finish();
  expect(await flushed).toBe(true);
});
