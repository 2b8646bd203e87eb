import { expect, test } from 'vitest';
import { readRange } from '../../src/db/event-log.ts';
import type { Notice } from '../../src/events/bus.ts';
import type { Envelope, Topic } from '../../src/events/event.ts';
import { transact } from '../../src/events/unit-of-work.ts';
import type { ConversationId } from '../../src/ids.ts';
import {
  createNumberedEvent,
  createNode,
  numberOf,
  emitEvents,
  createTestCore,
  TOPIC,
} from '../harness/event-core.ts';
import type { Core } from '../harness/event-core.ts';
import { range } from '../harness/numbers.ts';

const OTHER = 'conversation:2';

function listen(core: Pick<Core, 'bus'>, ...topics: Topic[]): Envelope[] {
  const heard: Envelope[] = [];
  const listener = (notice: Notice) => notice.kind === 'event' && void heard.push(notice.envelope);
  for (const topic of topics) core.bus.subscribe(topic, listener);
  return heard;
}

test('events are published after the commit, in the order of emission', async () => {
  const core = await createTestCore();
  await transact(core, (unit) => unit.create(OTHER));
  const heard = listen(core, TOPIC, OTHER);
  const result = await transact(core, async (unit) => {
    unit.emit(createNumberedEvent(1, 2 as ConversationId));
    unit.emit(createNumberedEvent(2));
    unit.emit(createNumberedEvent(3, 2 as ConversationId));
    expect(heard).toEqual([]);
    return 'done';
  });
  expect(result).toBe('done');
  expect(heard.map(({ topic, seq, event }) => [topic, seq, numberOf(event)])).toEqual([
    [OTHER, 1, 1],
    [TOPIC, 1, 2],
    [OTHER, 2, 3],
  ]);
});

test('when the work throws, nothing is stored or published', async () => {
  const core = await createTestCore();
  const heard = listen(core, TOPIC);
  const failing = transact(core, async (unit) => {
    unit.emit(createNumberedEvent(1));
    throw new Error('no');
  });
  await expect(failing).rejects.toThrow('no');
  expect(heard).toEqual([]);
  expect(await readRange(core.db, TOPIC)).toEqual({ head: 0, trimmed: 0 });
  await emitEvents(core, 2);
  expect(heard.map(({ seq }) => seq)).toEqual([1]);
});

test('an event for a topic without a log fails the whole unit', async () => {
  const core = await createTestCore();
  const heard = listen(core, TOPIC, OTHER);
  const failing = transact(core, async (unit) => {
    unit.emit(createNumberedEvent(1));
    unit.emit(createNumberedEvent(2, 2 as ConversationId));
  });
  await expect(failing).rejects.toThrow('has no log');
  expect(heard).toEqual([]);
  expect(await readRange(core.db, TOPIC)).toEqual({ head: 0, trimmed: 0 });
});

test('positions of concurrent units are gapless and follow the order of commits', async () => {
  const core = await createTestCore();
  const nodes = [core, createNode(core.db), createNode(core.db)];
  const heard = nodes.map((node) => listen(node, TOPIC));
  await Promise.all(
    range(1, 60).map((number) =>
      transact(nodes[number % 3] ?? core, async (unit) => {
        await unit.lock(TOPIC);
        unit.emit(createNumberedEvent(number));
        unit.emit(createNumberedEvent(number + 1000));
      }),
    ),
  );
  const all = heard.flat().sort((a, b) => a.seq - b.seq);
  expect(all.map(({ seq }) => seq)).toEqual(range(1, 120));
  const numbers = all.map(({ event }) => numberOf(event));
  for (const [index, number] of numbers.entries())
    if (number > 1000) expect(numbers[index - 1]).toBe(number - 1000);
  const moments = all.map(({ at }) => at);
  expect(moments).toEqual(moments.toSorted());
});

test('locks requested out of order throw', async () => {
  const core = await createTestCore();
  await transact(core, (unit) => unit.create('circle:1', 'user:1'));
  const backwards = transact(core, async (unit) => {
    await unit.lock(TOPIC);
    await unit.lock('circle:1');
  });
  await expect(backwards).rejects.toThrow('Lock order');
  const emitting = transact(core, async (unit) => {
    await unit.lock('user:1');
    unit.emit(createNumberedEvent(1));
  });
  await expect(emitting).rejects.toThrow('Lock order');
});

test('one call may request locks in any order, and request a held one again', async () => {
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
  const heard = listen(core, TOPIC);
  await Promise.all(range(1, 20).map(increase));
  expect(heard.map(({ seq, event }) => numberOf(event) - seq)).toEqual(range(1, 20).map(() => 0));
});
