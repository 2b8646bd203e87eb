import { expect, test } from 'vitest';
import { readRange } from '../../src/db/event-log.ts';
import type { Notice } from '../../src/events/bus.ts';
import type { Envelope, Topic } from '../../src/events/event.ts';
import { transact } from '../../src/events/unit-of-work.ts';
import type { ConversationId } from '../../src/ids.ts';
import {
  createNumberedEvent,
  createNode,
  readNumber,
  emitEvents,
  createTestCore,
  TOPIC,
} from '../harness/event-core.ts';
import type { Core } from '../harness/event-core.ts';
import { range } from '../harness/numbers.ts';

const OTHER = 'conversation:2';

/** Records the events of the topics, in the order of their publication. */
function recordEvents(core: Pick<Core, 'bus'>, ...topics: Topic[]): Envelope[] {
  const envelopes: Envelope[] = [];
  const listener = (notice: Notice) => notice.kind === 'event' && void envelopes.push(notice.envelope);
  for (const topic of topics) core.bus.subscribe(topic, listener);
  return envelopes;
}

test('events are published after the commit, in the order of emission', async () => {
  const core = await createTestCore();
  await transact(core, (unit) => unit.create(OTHER));
  const envelopes = recordEvents(core, TOPIC, OTHER);
  const result = await transact(core, async (unit) => {
    unit.emit(createNumberedEvent(1, 2 as ConversationId));
    unit.emit(createNumberedEvent(2));
    unit.emit(createNumberedEvent(3, 2 as ConversationId));
    expect(envelopes).toEqual([]);
    return 'done';
  });
  expect(result).toBe('done');
  expect(envelopes.map(({ topic, seq, event }) => [topic, seq, readNumber(event)])).toEqual([
    [OTHER, 1, 1],
    [TOPIC, 1, 2],
    [OTHER, 2, 3],
  ]);
});

test('when the work throws, nothing is stored or published', async () => {
  const core = await createTestCore();
  const envelopes = recordEvents(core, TOPIC);
  const attempt = transact(core, async (unit) => {
    unit.emit(createNumberedEvent(1));
    throw new Error('no');
  });
  await expect(attempt).rejects.toThrow('no');
  expect(envelopes).toEqual([]);
  expect(await readRange(core.db, TOPIC)).toEqual({ head: 0, trimmed: 0 });
  await emitEvents(core, 2);
  expect(envelopes.map(({ seq }) => seq)).toEqual([1]);
});

test('an event for a topic without a log fails the whole unit', async () => {
  const core = await createTestCore();
  const envelopes = recordEvents(core, TOPIC, OTHER);
  const attempt = transact(core, async (unit) => {
    unit.emit(createNumberedEvent(1));
    unit.emit(createNumberedEvent(2, 2 as ConversationId));
  });
  await expect(attempt).rejects.toThrow('has no log');
  expect(envelopes).toEqual([]);
  expect(await readRange(core.db, TOPIC)).toEqual({ head: 0, trimmed: 0 });
});

test('positions of concurrent units are gapless and follow the order of commits', async () => {
  const core = await createTestCore();
  const nodes = [core, createNode(core), createNode(core)];
  const envelopesOfNodes = nodes.map((node) => recordEvents(node, TOPIC));
  await Promise.all(
    range(1, 60).map((number) =>
      transact(nodes[number % 3] ?? core, async (unit) => {
        await unit.lock(TOPIC);
        unit.emit(createNumberedEvent(number));
        unit.emit(createNumberedEvent(number + 1000));
      }),
    ),
  );
  const envelopes = envelopesOfNodes.flat().sort((a, b) => a.seq - b.seq);
  expect(envelopes.map(({ seq }) => seq)).toEqual(range(1, 120));
  const numbers = envelopes.map(({ event }) => readNumber(event));
  for (const [index, number] of numbers.entries())
    if (number > 1000) expect(numbers[index - 1]).toBe(number - 1000);
  const timestamps = envelopes.map(({ at }) => at);
  expect(timestamps).toEqual(timestamps.toSorted());
});

test('locks requested out of order throw', async () => {
  const core = await createTestCore();
  await transact(core, (unit) => unit.create('circle:1', 'user:1'));
  const lockAttempt = transact(core, async (unit) => {
    await unit.lock(TOPIC);
    await unit.lock('circle:1');
  });
  await expect(lockAttempt).rejects.toThrow('Lock order');
  const emitAttempt = transact(core, async (unit) => {
    await unit.lock('user:1');
    unit.emit(createNumberedEvent(1));
  });
  await expect(emitAttempt).rejects.toThrow('Lock order');
});

test('a call can request locks in any order, and a held lock again', async () => {
  const core = await createTestCore();
  await transact(core, (unit) => unit.create('circle:1', 'user:1'));
  await transact(core, async (unit) => {
    await unit.lock('user:1', TOPIC, 'circle:1');
    await unit.lock('circle:1');
    await unit.create('circle:0');
    await unit.lock('circle:0');
    unit.emit(createNumberedEvent(1));
  });
  expect(await readRange(core.db, TOPIC)).toMatchObject({ head: 1 });
});

test('data read under a lock does not change until the commit', async () => {
  const core = await createTestCore();
  const increase = () =>
    transact(core, async (unit) => {
      await unit.lock(TOPIC);
      const { head } = (await readRange(unit.tx, TOPIC)) ?? { head: Number.NaN };
      unit.emit(createNumberedEvent(head + 1));
    });
  const envelopes = recordEvents(core, TOPIC);
  await Promise.all(range(1, 20).map(increase));
  expect(envelopes.map(({ seq, event }) => readNumber(event) - seq)).toEqual(range(1, 20).map(() => 0));
});
