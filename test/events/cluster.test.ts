import { sql } from 'kysely';
import { inject, expect, test, vi } from 'vitest';
import { openNotifier } from '../../src/db/notify.ts';
import type { Notice } from '../../src/events/bus.ts';
import { connectCluster } from '../../src/events/cluster/cluster.ts';
import { transact } from '../../src/events/unit-of-work.ts';
import { createLogger } from '../../src/log.ts';
import {
  cursorAt,
  createNumberedEvent,
  createNode,
  numberOf,
  openTopic,
  emitEvents,
  readNumbers,
  createTestCore,
  TOPIC,
  createTyping,
  createActorView,
} from '../harness/event-core.ts';
import type { Core } from '../harness/event-core.ts';
import { range } from '../harness/numbers.ts';

/** Registers a test for a database that several processes can share. */
function clusterTest(title: string, run: () => Promise<void>): void {
  if (inject('database') === 'postgres') test(title, run);
}

const log = createLogger('silent');

async function testCluster(compareMs = 60_000) {
  const core = await createTestCore();
  const { url = '' } = core;
  const joined = new AsyncDisposableStack();
  const join = async (): Promise<Core> => {
    const node = { ...core, ...createNode(core.db) };
    joined.use(await connectCluster({ ...node, url, log, compareMs }));
    return node;
  };
  return { a: await join(), b: await join(), core, join, [Symbol.asyncDispose]: () => joined.disposeAsync() };
}

function listen(node: Core): Notice[] {
  const heard: Notice[] = [];
  node.bus.subscribe(TOPIC, (notice) => void heard.push(notice));
  return heard;
}

const receivedAll = (heard: readonly Notice[], count: number) =>
  vi.waitFor(() => expect(heard).toHaveLength(count), { timeout: 5_000 });

/** Terminates every listening connection. Returns their number. */
async function cutListeners(core: Core): Promise<number> {
  const { rows } = await sql`
    select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'parley notifications'
      and datname = current_database()
  `.execute(core.db);
  return rows.length;
}

test('only a database with an address can be shared by several nodes', async () => {
  const { url } = await createTestCore();
  expect(url).toEqual(inject('database') === 'postgres' ? expect.any(String) : undefined);
});

clusterTest('a single node sends nothing, and starts sending once another joins', async () => {
  const core = await createTestCore();
  const texts: string[] = [];
  const url = core.url ?? '';
  await using _ear = await openNotifier({ url, log, onText: (text) => texts.push(text), onListening() {} });
  await using _alone = await connectCluster({ ...core, url, log, compareMs: 100, aloneAfterMs: 1_000 });
  let number = 0;
  const timesHere = () => texts.filter((text) => text.endsWith(' here')).length;
  await vi.waitFor(
    async () => {
      number += 1;
      await emitEvents(core, number);
      // It is sent on the same connection as events, and therefore after this one.
      const before = timesHere();
      await vi.waitFor(() => expect(timesHere()).toBeGreaterThan(before));
      expect(texts.filter((text) => text.includes(`"messageId":${number}}`))).toEqual([]);
    },
    { timeout: 10_000, interval: 100 },
  );

  const node = { ...core, ...createNode(core.db) };
  await using _joined = await connectCluster({ ...node, url, log, compareMs: 100, aloneAfterMs: 1_000 });
  const heard = listen(node);
  const stream = await openTopic(node, { after: cursorAt(core, number - 1) });
  expect(await readNumbers(stream, 2)).toEqual([number, 'live']);
  await emitEvents(core, number + 1);
  expect(await readNumbers(stream, 1)).toEqual([number + 1]);
  await vi.waitFor(async () => {
    await emitEvents(core, (number += 2));
    expect(heard).toContainEqual(expect.objectContaining({ kind: 'event' }));
  });
});

clusterTest('a notice is received by the other node once, and not by the sender again', async () => {
  await using cluster = await testCluster();
  const { a, b } = cluster;
  const [onA, onB] = [listen(a), listen(b)];
  await emitEvents(a, 1, 2);
  a.bus.publish([{ kind: 'ephemeral', ephemeral: createTyping(1) }]);
  await emitEvents(b, 3);
  await receivedAll(onA, 4);
  await receivedAll(onB, 4);
  // The last event shows that nothing else arrived before it.
  b.bus.publish([{ kind: 'ephemeral', ephemeral: createTyping(9) }]);
  await receivedAll(onA, 5);
  await receivedAll(onB, 5);
  const numbers = (heard: Notice[]) =>
    heard.map((notice) => (notice.kind === 'event' ? numberOf(notice.envelope.event) : notice.kind));
  expect(numbers(onA)).toEqual([1, 2, 'ephemeral', 3, 'ephemeral']);
  expect(new Set(numbers(onB))).toEqual(new Set([1, 2, 3, 'ephemeral']));
  expect(onB).toContainEqual({ kind: 'ephemeral', ephemeral: createTyping(1) });
});

clusterTest('an event that is too large for a notification is read from the log', async () => {
  await using cluster = await testCluster();
  const { a, b } = cluster;
  const stream = await openTopic(b);
  const heard = listen(b);
  const large = { ...createNumberedEvent(1), filling: 'é'.repeat(20_000) };
  await transact(a, async (unit) => unit.emit(large));
  await emitEvents(a, 2);
  expect(await readNumbers(stream, 3)).toEqual(expect.arrayContaining([1, 2, 'live']));
  expect(heard[0]).toEqual({ kind: 'advanced', topic: TOPIC, seq: 1 });
});

clusterTest('a large signal is sent in pieces', async () => {
  await using cluster = await testCluster();
  const { a, b } = cluster;
  const heard = listen(b);
  const sender = createActorView(1);
  const content = { message: { sdp: 'é€😀\n'.repeat(15_000) } };
  const ephemeral = { type: 'signal', topic: TOPIC, sender, content, legacyLease: null } as const;
  a.bus.publish([
    { kind: 'ephemeral', ephemeral },
    { kind: 'ephemeral', ephemeral: createTyping(2) },
  ]);
  await receivedAll(heard, 2);
  expect(heard[0]).toEqual({ kind: 'ephemeral', ephemeral });
});

clusterTest('a thousand events of two nodes reach a reader on a third, once and in order', async () => {
  await using cluster = await testCluster();
  const { a, b } = cluster;
  const third = await cluster.join();
  const stream = await openTopic(third, { after: cursorAt(third, 0) });
  const writing = Promise.all(
    [a, b].map(async (node, half) => {
      for (const part of range(0, 99))
        await emitEvents(node, ...range(1, 5).map((n) => half * 1_000 + part * 5 + n));
    }),
  );
  const items = (await readNumbers(stream, 1_001)).filter((item) => item !== 'live');
  await writing;
  expect(items.filter((number) => number <= 500)).toEqual(range(1, 500));
  expect(items.filter((number) => number > 1_000)).toEqual(range(1_001, 1_500));
});

clusterTest('a lost connection is replaced, and events published meanwhile arrive', async () => {
  await using cluster = await testCluster();
  const { a, b, core } = cluster;
  const stream = await openTopic(b);
  expect(await readNumbers(stream, 1)).toEqual(['live']);
  expect(await cutListeners(core)).toBeGreaterThanOrEqual(2);
  await emitEvents(a, 1, 2);
  expect(await readNumbers(stream, 2)).toEqual([1, 2]);
  await vi.waitFor(
    async () => {
      const heard = listen(b);
      a.bus.publish([{ kind: 'ephemeral', ephemeral: createTyping(1) }]);
      await vi.waitFor(() => expect(heard).toHaveLength(1), { timeout: 200 });
    },
    { timeout: 10_000 },
  );
  await emitEvents(a, 3);
  expect(await readNumbers(stream, 1)).toEqual([3]);
});

clusterTest('a reader whose node missed notices catches up by comparison', async () => {
  await using cluster = await testCluster(100);
  const { b, core } = cluster;
  const stream = await openTopic(b);
  expect(await readNumbers(stream, 1)).toEqual(['live']);
  // No other node receives notices of this one.
  await emitEvents(createNode(core.db), 1);
  expect(await readNumbers(stream, 1)).toEqual([1]);
});

clusterTest('a node that cannot connect to the others at startup does not start', async () => {
  const core = await createTestCore();
  const url = new URL(core.url ?? '');
  url.port = '1';
  await expect(connectCluster({ ...core, url: url.href, log })).rejects.toThrow('ECONNREFUSED');
});

clusterTest('a closed node receives and sends nothing', async () => {
  const core = await createTestCore();
  const [a, b, c] = [
    { ...core, ...createNode(core.db) },
    { ...core, ...createNode(core.db) },
    { ...core, ...createNode(core.db) },
  ];
  const joined = await connectCluster({ ...a, url: core.url ?? '', log });
  await using _other = await connectCluster({ ...b, url: core.url ?? '', log });
  const [onA, onB] = [listen(a), listen(b)];
  await joined[Symbol.asyncDispose]();
  await using third = await connectCluster({ ...c, url: core.url ?? '', log });
  const onC = listen(c);
  await emitEvents(b, 1);
  await emitEvents(a, 2);
  await emitEvents(b, 3);
  // Nodes that are still connected have received everything by now, over the same channel.
  await receivedAll(onC, 2);
  expect(third.listening).toBe(true);
  expect(onA).toHaveLength(1);
  expect(onB).toHaveLength(2);
});
