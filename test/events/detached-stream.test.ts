import { expect, test } from 'vitest';
import type { Envelope } from '../../src/events/event.ts';
import type { Detached } from '../../src/events/stream.ts';
import { kick, fact, openTopic, READER, say, take, testCore, TOPIC } from '../harness/events-core.ts';

// A reader's place in a live stream, in the hands of one who follows the topic for many.

const envelope = (seq: number, event = fact(seq)): Envelope => ({
  topic: TOPIC,
  seq,
  at: '2026-01-01T00:00:00.000Z',
  event,
});

function lent(loan: Detached | undefined): Detached {
  if (loan === undefined) throw new Error('The place was not lent.');
  return loan;
}

test('a place is lent when the stream is live and nothing waits to be read', async () => {
  const core = await testCore();
  const stream = await openTopic(core);
  expect(stream.isCaughtUp()).toBe(false);
  expect(stream.detach(() => undefined)).toBeUndefined();
  expect(await take(stream, 1)).toEqual(['live']);
  expect(stream.isCaughtUp()).toBe(true);
  await say(core, 1);
  expect(stream.detach(() => undefined)).toBeUndefined();
  expect(await take(stream, 1)).toEqual([1]);
  expect(lent(stream.detach(() => undefined)).position).toBe(1);
  await stream.return();
});

test('a place that is given back goes on after what was taken, from the log and then live', async () => {
  const core = await testCore();
  const stream = await openTopic(core);
  await take(stream, 1);
  const loan = lent(stream.detach(() => undefined));
  await say(core, 1, 2, 3);
  expect(loan.advance(envelope(1))).toBe(true);
  loan.reattach();
  expect(await take(stream, 2)).toEqual([2, 3]);
  const again = lent(stream.detach(() => undefined));
  again.reattach();
  const next = take(stream, 1);
  await say(core, 4);
  expect(await next).toEqual([4]);
  await stream.return();
});

test('who takes the event that ends its access gets no more', async () => {
  const core = await testCore();
  const stream = await openTopic(core);
  await take(stream, 1);
  const loan = lent(stream.detach(() => undefined));
  expect(loan.advance(envelope(1, kick(READER.id)))).toBe(false);
  loan.reattach();
  await expect(stream.next()).rejects.toMatchObject({ code: 'FORBIDDEN' });
});

test('a place is called back, once, when the stream ends from outside or is freed', async () => {
  const core = await testCore();
  for (const end of ['LOGGED_OUT', 'return'] as const) {
    const controller = new AbortController();
    const stream = await openTopic(core, { signal: controller.signal });
    await take(stream, 1);
    let recalls = 0;
    const loan = lent(
      stream.detach(() => {
        recalls += 1;
        loan.reattach();
      }),
    );
    if (end === 'return') await stream.return();
    else controller.abort(end);
    expect(recalls).toBe(1);
    if (end === 'return') expect(await stream.next()).toEqual({ done: true, value: undefined });
    else await expect(stream.next()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    await stream.return();
    expect(recalls).toBe(1);
  }
});
