import { once } from 'node:events';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { PayloadTurns } from '../../src/bridge/payload-turns.ts';

/** Handles polling requests that arrive together, and returns the turns of the event loop in which their bodies ended. */
async function endTurns(bytes: number, isComplete: boolean): Promise<readonly number[]> {
  let turn = 0;
  const countTurns = (): void => {
    turn += 1;
    timer = setImmediate(countTurns);
  };
  let timer = setImmediate(countTurns);
  const payloadTurns = new PayloadTurns();
  const ends = ['ann', 'ann', 'bob'].map(async (client) => {
    const request = new IncomingMessage(new Socket());
    request.method = 'POST';
    request.headers['content-length'] = String(bytes);
    request.complete = isComplete;
    const ended = once(request, 'end');
    payloadTurns.handle(request, client, () => void request.resume());
    request.push(Buffer.alloc(bytes));
    request.push(null);
    await ended;
    return turn;
  });
  const turns = await Promise.all(ends);
  clearImmediate(timer);
  return turns;
}

test.for([false, true])(
  'large payloads end in turns of their own, whether they have arrived already: %s',
  async (isComplete) => {
    expect(new Set(await endTurns(100_000, isComplete)).size).toBe(3);
  },
);

test('small payloads do not wait', async () => {
  expect(new Set(await endTurns(100, false)).size).toBe(1);
});
