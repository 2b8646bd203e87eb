import { expect, test } from 'vitest';
import type { Envelope } from '../../src/events/event.ts';
import type { DetachedReader } from '../../src/events/stream.ts';
import {
  createParticipantKicked,
  createNumberedEvent,
  openTopic,
  READER,
  emitEvents,
  readNumbers,
  createTestCore,
  TOPIC,
} from '../harness/event-core.ts';

// A stream is detached while a fan-out group delivers its events.

const createEnvelope = (seq: number, event = createNumberedEvent(seq)): Envelope => ({
  topic: TOPIC,
  seq,
  at: '2026-01-01T00:00:00.000Z',
  event,
});

function requireDetached(detached: DetachedReader | undefined): DetachedReader {
  if (detached === undefined) throw new Error('The stream was not detached.');
  return detached;
}

test('a stream can be detached once it is live and caught up', async () => {
  const core = await createTestCore();
  const stream = await openTopic(core);
  expect(stream.isCaughtUp()).toBe(false);
  expect(stream.detach(() => undefined)).toBeUndefined();
  expect(await readNumbers(stream, 1)).toEqual(['live']);
  expect(stream.isCaughtUp()).toBe(true);
  await emitEvents(core, 1);
  expect(stream.detach(() => undefined)).toBeUndefined();
  expect(await readNumbers(stream, 1)).toEqual([1]);
  expect(requireDetached(stream.detach(() => undefined)).deliveredSeq).toBe(1);
  await stream.return();
});

test('a reattached stream continues after its position, from the log and then live', async () => {
  const core = await createTestCore();
  const stream = await openTopic(core);
  await readNumbers(stream, 1);
  const detached = requireDetached(stream.detach(() => undefined));
  await emitEvents(core, 1, 2, 3);
  expect(detached.advance(createEnvelope(1))).toBe(true);
  detached.reattach();
  expect(await readNumbers(stream, 2)).toEqual([2, 3]);
  const secondDetached = requireDetached(stream.detach(() => undefined));
  secondDetached.reattach();
  const next = readNumbers(stream, 1);
  await emitEvents(core, 4);
  expect(await next).toEqual([4]);
  await stream.return();
});

test('the event that ends the access is the last one delivered', async () => {
  const core = await createTestCore();
  const stream = await openTopic(core);
  await readNumbers(stream, 1);
  const detached = requireDetached(stream.detach(() => undefined));
  expect(detached.advance(createEnvelope(1, createParticipantKicked(READER.id)))).toBe(false);
  detached.reattach();
  await expect(stream.next()).rejects.toMatchObject({ code: 'FORBIDDEN' });
});

test('a detached stream is revoked once, when it is ended or closed', async () => {
  const core = await createTestCore();
  for (const end of ['LOGGED_OUT', 'return'] as const) {
    const controller = new AbortController();
    const stream = await openTopic(core, { signal: controller.signal });
    await readNumbers(stream, 1);
    let revocations = 0;
    const detached = requireDetached(
      stream.detach(() => {
        revocations += 1;
        detached.reattach();
      }),
    );
    if (end === 'return') await stream.return();
    else controller.abort(end);
    expect(revocations).toBe(1);
    if (end === 'return') expect(await stream.next()).toEqual({ done: true, value: undefined });
    else await expect(stream.next()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    await stream.return();
    expect(revocations).toBe(1);
  }
});
