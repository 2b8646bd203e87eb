import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { inject, expect, test, vi } from 'vitest';
import { openPostgresNotifier } from '../../src/db/notify.ts';
import type { Notice } from '../../src/events/bus.ts';
import { connectCluster } from '../../src/events/cluster/cluster.ts';
import type { Cluster, ClusterOptions } from '../../src/events/cluster/cluster.ts';
import { transact } from '../../src/events/unit-of-work.ts';
import { createLogger } from '../../src/log.ts';
import {
  cursorAt,
  createNumberedEvent,
  createNode,
  readNumber,
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

/** Connects a node that knows that it has no peers of an older version. */
const connect = (
  { bus, tails }: Core,
  url: string,
  options: Partial<ClusterOptions> = {},
): Promise<Cluster> =>
  connectCluster({
    bus,
    tails,
    url,
    log,
    open: openPostgresNotifier,
    nodeId: randomUUID(),
    unknownPeersMs: 0,
    ...options,
  });

async function startTestCluster(compareMs = 60_000) {
  const core = await createTestCore();
  const { url = '' } = core;
  const stack = new AsyncDisposableStack();
  const addNode = async (): Promise<Core> => {
    const node = { ...core, ...createNode(core.db) };
    stack.use(await connect(node, url, { compareMs }));
    return node;
  };
  return {
    a: await addNode(),
    b: await addNode(),
    core,
    addNode,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Records the notices that a node receives. */
function recordNotices(node: Core): Notice[] {
  const notices: Notice[] = [];
  node.bus.subscribe(TOPIC, (notice) => void notices.push(notice));
  return notices;
}

const waitForNotices = (notices: readonly Notice[], count: number) =>
  vi.waitFor(() => expect(notices).toHaveLength(count), { timeout: 5_000 });

/** Terminates every listening connection. Returns their number. */
async function terminateListeners(core: Core): Promise<number> {
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
  await using notifier = await openPostgresNotifier({
    url,
    log,
    onText: (text) => texts.push(text),
    onListening() {},
  });
  await notifier.listen(['parley', ...range(0, notifier.shards - 1).map((shard) => `parley_${shard}`)]);
  const options = { compareMs: 100, announceMs: 100, noPeersAfterMs: 1_000 };
  await using _node = await connect(core, url, options);
  let number = 0;
  const countAnnouncements = () => texts.filter((text) => text.includes(' here')).length;
  await vi.waitFor(
    async () => {
      number += 1;
      await emitEvents(core, number);
      // An announcement is sent on the same connection as events: an event before it would have arrived.
      const before = countAnnouncements();
      await vi.waitFor(() => expect(countAnnouncements()).toBeGreaterThan(before));
      expect(texts.filter((text) => text.includes(`"messageId":${number}}`))).toEqual([]);
    },
    { timeout: 10_000, interval: 100 },
  );

  const node = { ...core, ...createNode(core.db) };
  await using _secondNode = await connect(node, url, options);
  const notices = recordNotices(node);
  const stream = await openTopic(node, { after: cursorAt(core, number - 1) });
  expect(await readNumbers(stream, 2)).toEqual([number, 'live']);
  await emitEvents(core, number + 1);
  expect(await readNumbers(stream, 1)).toEqual([number + 1]);
  await vi.waitFor(async () => {
    await emitEvents(core, (number += 2));
    expect(notices).toContainEqual(expect.objectContaining({ kind: 'event' }));
  });
});

clusterTest('a notice is received by the other node once, and not by the sender again', async () => {
  await using cluster = await startTestCluster();
  const { a, b } = cluster;
  const [noticesOfA, noticesOfB] = [recordNotices(a), recordNotices(b)];
  await emitEvents(a, 1, 2);
  a.bus.publish([{ kind: 'ephemeral', ephemeral: createTyping(1) }]);
  await emitEvents(b, 3);
  await waitForNotices(noticesOfA, 4);
  await waitForNotices(noticesOfB, 4);
  // The last event shows that nothing else arrived before it.
  b.bus.publish([{ kind: 'ephemeral', ephemeral: createTyping(9) }]);
  await waitForNotices(noticesOfA, 5);
  await waitForNotices(noticesOfB, 5);
  const numbersOf = (notices: Notice[]) =>
    notices.map((notice) => (notice.kind === 'event' ? readNumber(notice.envelope.event) : notice.kind));
  expect(numbersOf(noticesOfA)).toEqual([1, 2, 'ephemeral', 3, 'ephemeral']);
  expect(new Set(numbersOf(noticesOfB))).toEqual(new Set([1, 2, 3, 'ephemeral']));
  expect(noticesOfB).toContainEqual({ kind: 'ephemeral', ephemeral: createTyping(1) });
});

clusterTest('an event that is too large for a notification is read from the log', async () => {
  await using cluster = await startTestCluster();
  const { a, b } = cluster;
  const stream = await openTopic(b);
  const notices = recordNotices(b);
  const large = { ...createNumberedEvent(1), padding: 'é'.repeat(20_000) };
  await transact(a, async (unit) => unit.emit(large));
  await emitEvents(a, 2);
  expect(await readNumbers(stream, 3)).toEqual(expect.arrayContaining([1, 2, 'live']));
  expect(notices[0]).toEqual({ kind: 'advanced', topic: TOPIC, seq: 1 });
});

clusterTest('a large signal is sent in chunks', async () => {
  await using cluster = await startTestCluster();
  const { a, b } = cluster;
  const notices = recordNotices(b);
  const sender = createActorView(1);
  const content = { message: { sdp: 'é€😀\n'.repeat(15_000) } };
  const ephemeral = { type: 'signal', topic: TOPIC, sender, content, legacyLease: null } as const;
  a.bus.publish([
    { kind: 'ephemeral', ephemeral },
    { kind: 'ephemeral', ephemeral: createTyping(2) },
  ]);
  await waitForNotices(notices, 2);
  expect(notices[0]).toEqual({ kind: 'ephemeral', ephemeral });
});

clusterTest('a thousand events of two nodes reach a reader on a third, once and in order', async () => {
  await using cluster = await startTestCluster();
  const { a, b } = cluster;
  const third = await cluster.addNode();
  const stream = await openTopic(third, { after: cursorAt(third, 0) });
  const writes = Promise.all(
    [a, b].map(async (node, index) => {
      for (const part of range(0, 99))
        await emitEvents(node, ...range(1, 5).map((n) => index * 1_000 + part * 5 + n));
    }),
  );
  const items = (await readNumbers(stream, 1_001)).filter((item) => item !== 'live');
  await writes;
  expect(items.filter((number) => number <= 500)).toEqual(range(1, 500));
  expect(items.filter((number) => number > 1_000)).toEqual(range(1_001, 1_500));
});

clusterTest('a lost connection is replaced, and events published during the loss arrive', async () => {
  await using cluster = await startTestCluster();
  const { a, b, core } = cluster;
  const stream = await openTopic(b);
  expect(await readNumbers(stream, 1)).toEqual(['live']);
  expect(await terminateListeners(core)).toBeGreaterThanOrEqual(2);
  await emitEvents(a, 1, 2);
  expect(await readNumbers(stream, 2)).toEqual([1, 2]);
  await vi.waitFor(
    async () => {
      const notices = recordNotices(b);
      a.bus.publish([{ kind: 'ephemeral', ephemeral: createTyping(1) }]);
      await vi.waitFor(() => expect(notices).toHaveLength(1), { timeout: 200 });
    },
    { timeout: 10_000 },
  );
  await emitEvents(a, 3);
  expect(await readNumbers(stream, 1)).toEqual([3]);
});

clusterTest('a reader whose node missed notices catches up by comparison', async () => {
  await using cluster = await startTestCluster(100);
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
  await expect(connect(core, url.href)).rejects.toThrow('ECONNREFUSED');
});

clusterTest('a closed node receives and sends nothing', async () => {
  const core = await createTestCore();
  const [a, b, c] = [
    { ...core, ...createNode(core.db) },
    { ...core, ...createNode(core.db) },
    { ...core, ...createNode(core.db) },
  ];
  const connectionOfA = await connect(a, core.url ?? '');
  await using _connectionOfB = await connect(b, core.url ?? '');
  const [noticesOfA, noticesOfB] = [recordNotices(a), recordNotices(b)];
  await connectionOfA[Symbol.asyncDispose]();
  await using third = await connect(c, core.url ?? '');
  const noticesOfC = recordNotices(c);
  await emitEvents(b, 1);
  await emitEvents(a, 2);
  await emitEvents(b, 3);
  // Nodes that are still connected have received everything by now, over the same channel.
  await waitForNotices(noticesOfC, 2);
  expect(third.isConnected).toBe(true);
  expect(noticesOfA).toHaveLength(1);
  expect(noticesOfB).toHaveLength(2);
});
