import { PassThrough, Writable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { TurnEnd } from '../../src/lib/turn-end.ts';

/** A stream that records what it writes, one entry for each write. */
function createRecordingStream(): { stream: Writable; writes: string[] } {
  const writes: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      writes.push(chunk.toString());
      done();
    },
    writev(chunks, done) {
      writes.push(chunks.map(({ chunk }) => String(chunk)).join(''));
      done();
    },
  });
  return { stream, writes };
}

test('what is written to a corked stream in one turn is one write, after the callbacks of the turn', async () => {
  const turnEnd = new TurnEnd();
  const { stream, writes } = createRecordingStream();
  turnEnd.call(() => stream.write('c'));
  for (const text of ['a', 'b']) {
    turnEnd.cork(stream);
    stream.write(text);
    await Promise.resolve();
  }
  expect(writes).toEqual([]);
  await turnEnd.over();
  expect(writes).toEqual(['abc']);
  stream.write('d');
  expect(writes).toEqual(['abc', 'd']);
});

test('a stream that a callback corks is written at the end of the next turn', async () => {
  const turnEnd = new TurnEnd();
  const { stream, writes } = createRecordingStream();
  turnEnd.call(() => {
    turnEnd.cork(stream);
    stream.write('a');
  });
  await turn();
  expect(writes).toEqual([]);
  await turn();
  expect(writes).toEqual(['a']);
});

test('what those write who have waited for the end leaves in the same turn', async () => {
  const turnEnd = new TurnEnd();
  const { stream, writes } = createRecordingStream();
  const order: string[] = [];
  turnEnd.call(() => order.push('callback'));
  void (async () => {
    await turnEnd.over();
    await Promise.resolve();
    order.push('waited');
    turnEnd.cork(stream);
    stream.write('a');
    stream.write('b');
  })();
  await turn();
  expect(order).toEqual(['callback', 'waited']);
  // Before the next turn.
  expect(writes).toEqual(['ab']);
});

test('a callback is called once in a turn, and again in the next one', async () => {
  const turnEnd = new TurnEnd();
  let calls = 0;
  const callback = (): void => {
    calls += 1;
    if (calls === 1) turnEnd.call(callback);
  };
  turnEnd.call(callback);
  turnEnd.call(callback);
  expect(turnEnd.isAwaited).toBe(true);
  await turn();
  expect(calls).toBe(1);
  await turn();
  expect(calls).toBe(2);
  expect(turnEnd.isAwaited).toBe(false);
});

test('a stream that is ended or destroyed in the turn is written or not, as without the cork', async () => {
  const turnEnd = new TurnEnd();
  const [ended, destroyed] = [new PassThrough(), new PassThrough()];
  for (const stream of [ended, destroyed]) {
    turnEnd.cork(stream);
    stream.write('a');
  }
  ended.end('b');
  destroyed.destroy();
  await turnEnd.over();
  expect(String(ended.read())).toBe('ab');
  expect(destroyed.read()).toBeNull();
});
