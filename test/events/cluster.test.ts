import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { inject, expect, test, vi } from 'vitest';
import { openPostgresNotifier } from '../../src/db/notify.ts';
import type { Notifier, NotifierOptions } from '../../src/db/notifier.ts';
import type { Notice } from '../../src/events/bus.ts';
import { connectCluster } from '../../src/events/cluster/cluster.ts';
import type { Cluster, ClusterOptions } from '../../src/events/cluster/cluster.ts';
import { createShards } from '../../src/events/cluster/shards.ts';
import { conversationTopic } from '../../src/events/event.ts';
import type { Topic } from '../../src/events/event.ts';
import { transact } from '../../src/events/unit-of-work.ts';
import type { ConversationId } from '../../src/ids.ts';
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
  const nodeIds: string[] = [];
  const addNode = async (): Promise<Core> => {
    const node = { ...core, ...createNode(core) };
    const nodeId = randomUUID();
    stack.use(await connect(node, url, { compareMs, nodeId }));
    nodeIds.push(nodeId);
    return node;
  };
  return {
    nodeIds,
    a: await addNode(),
    b: await addNode(),
    core,
    addNode,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Records the notices that a node receives. Resolves once it receives those of other nodes. */
async function recordNotices(node: Core): Promise<Notice[]> {
  const notices: Notice[] = [];
  node.bus.subscribe(TOPIC, (notice) => void notices.push(notice));
  await node.bus.whenFollowed(TOPIC);
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

  const node = { ...core, ...createNode(core) };
  await using _secondNode = await connect(node, url, options);
  const notices = await recordNotices(node);
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
  const [noticesOfA, noticesOfB] = await Promise.all([recordNotices(a), recordNotices(b)]);
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
  const notices = await recordNotices(b);
  const large = { ...createNumberedEvent(1), padding: 'é'.repeat(20_000) };
  await transact(a, async (unit) => unit.emit(large));
  await emitEvents(a, 2);
  expect(await readNumbers(stream, 3)).toEqual(expect.arrayContaining([1, 2, 'live']));
  expect(notices[0]).toEqual({ kind: 'advanced', topic: TOPIC, seq: 1 });
});

clusterTest('a large signal is sent in chunks', async () => {
  await using cluster = await startTestCluster();
  const { a, b } = cluster;
  const notices = await recordNotices(b);
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
      const notices = await recordNotices(b);
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
  await emitEvents(createNode(core), 1);
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
    { ...core, ...createNode(core) },
    { ...core, ...createNode(core) },
    { ...core, ...createNode(core) },
  ];
  const connectionOfA = await connect(a, core.url ?? '');
  await using _connectionOfB = await connect(b, core.url ?? '');
  const [noticesOfA, noticesOfB] = await Promise.all([recordNotices(a), recordNotices(b)]);
  await connectionOfA[Symbol.asyncDispose]();
  await using third = await connect(c, core.url ?? '');
  const noticesOfC = await recordNotices(c);
  await emitEvents(b, 1);
  await emitEvents(a, 2);
  await emitEvents(b, 3);
  // Nodes that are still connected have received everything by now, over the same channel.
  await waitForNotices(noticesOfC, 2);
  expect(third.isConnected).toBe(true);
  expect(noticesOfA).toHaveLength(1);
  expect(noticesOfB).toHaveLength(2);
});

/** Topics of one shard with the test's topic, and of another one. */
function findTopics(shards: number): { readonly same: Topic; readonly other: Topic } {
  const { channelOf } = createShards({
    shards,
    listen: async () => undefined,
    unlisten: async () => undefined,
  });
  const topics = range(2, 10_000).map((id) => conversationTopic(id as ConversationId));
  const find = (isWanted: (channel: string) => boolean): Topic => {
    const found = topics.find((topic) => isWanted(channelOf(topic)));
    if (found === undefined) throw new Error('No topic has such a shard');
    return found;
  };
  const own = channelOf(TOPIC);
  return { same: find((channel) => channel === own), other: find((channel) => channel !== own) };
}

clusterTest('a node receives only the texts of shards that it has readers for', async () => {
  const core = await createTestCore();
  const url = core.url ?? '';
  const texts: string[] = [];
  const open = (options: NotifierOptions): Promise<Notifier> =>
    openPostgresNotifier({
      ...options,
      onText(text, channel) {
        if (/^parley_\d+$/.test(channel)) texts.push(text);
        options.onText(text, channel);
      },
    });
  const [a, b] = [createNode(core), createNode(core)];
  await using _a = await connect({ ...core, ...a }, url);
  await using _b = await connect({ ...core, ...b }, url, { open });
  const { same, other } = findTopics(1_024);
  const notices = await recordNotices({ ...core, ...b });
  const publish = (topic: Topic) => a.bus.publish([{ kind: 'advanced', topic, seq: 1 }]);
  publish(other);
  publish(same);
  publish(TOPIC);
  await waitForNotices(notices, 1);
  // The text of the same shard is received, and dropped before it is parsed.
  expect(texts.map((text) => text.split(' ')[3])).toEqual([same, TOPIC]);
  expect(notices).toEqual([{ kind: 'advanced', topic: TOPIC, seq: 1 }]);
});

clusterTest('beside a node of an older version, everything is sent on the common channel', async () => {
  const core = await createTestCore();
  const url = core.url ?? '';
  const texts: string[] = [];
  await using oldNode = await openPostgresNotifier({
    url,
    log,
    onText: (text) => texts.push(text),
    onListening() {},
  });
  await oldNode.listen(['parley']);
  const node = { ...core, ...createNode(core) };
  await using _node = await connect(node, url);
  const notices = await recordNotices(node);
  const sendOld = (text: string) => oldNode.send([{ channel: 'parley', text }]);
  await sendOld('abcdef01 here');
  const event = { kind: 'advanced', topic: TOPIC, seq: 5 } as const;
  await sendOld(`abcdef01 1 0/1 ${JSON.stringify(event)}`);
  await waitForNotices(notices, 1);
  expect(notices).toEqual([event]);
  await emitEvents(node, 1);
  await vi.waitFor(() => expect(texts.some((text) => text.includes('"messageId":1}'))).toBe(true));
  // An older node parses everything after the header as JSON.
  const [text = ''] = texts.filter((candidate) => candidate.includes('"messageId":1}'));
  expect(JSON.parse(text.replace(/^[0-9a-f]+ \d+ 0\/1 /, ''))).toMatchObject({ kind: 'event' });
});

clusterTest('a node confirms a notice once it has delivered it', async () => {
  await using cluster = await startTestCluster();
  const { a, b, nodeIds } = cluster;
  const notices = await recordNotices(b);
  const notice = { kind: 'ephemeral', ephemeral: createTyping(1) } as const;
  expect(await a.bus.publishConfirmed(notice, nodeIds, 5_000)).toEqual(new Set(nodeIds));
  expect(notices).toEqual([notice]);
  expect(await a.bus.publishConfirmed(notice, ['unknown'], 10)).toEqual(new Set());
});

clusterTest('an event without readers is confirmed, as it may have ended them; a signal is not', async () => {
  await using cluster = await startTestCluster();
  const { a, b, nodeIds } = cluster;
  const [idOfA = '', idOfB = ''] = nodeIds;
  const { same } = findTopics(1_024);
  // Listens to the shard of the topic below.
  b.bus.subscribe(TOPIC, () => undefined);
  await b.bus.whenFollowed(TOPIC);
  const envelope = { topic: same, seq: 1, at: '2026-01-01T00:00:00.000Z', event: createNumberedEvent(1) };
  const event = { kind: 'event', envelope } as const;
  expect(await a.bus.publishConfirmed(event, [idOfB], 5_000)).toEqual(new Set([idOfB]));
  const typing = { kind: 'ephemeral', ephemeral: { ...createTyping(1), topic: same } } as const;
  expect(await a.bus.publishConfirmed(typing, nodeIds, 300)).toEqual(new Set([idOfA]));
});

clusterTest(
  'beside a node of an older version, a signal counts as confirmed, and a revocation does not',
  async () => {
    const core = await createTestCore();
    const url = core.url ?? '';
    await using oldNode = await openPostgresNotifier({ url, log, onText() {}, onListening() {} });
    await using _node = await connect(core, url);
    const notices = await recordNotices(core);
    const envelope = { topic: TOPIC, seq: 9, at: '2026-01-01T00:00:00.000Z', event: createNumberedEvent(1) };
    const event = { kind: 'event', envelope } as const;
    await oldNode.send([
      { channel: 'parley', text: 'abcdef01 here' },
      { channel: 'parley', text: `abcdef01 1 0/1 ${JSON.stringify(event)}` },
    ]);
    await waitForNotices(notices, 1);
    const typing = { kind: 'ephemeral', ephemeral: createTyping(1) } as const;
    expect(await core.bus.publishConfirmed(typing, ['silent'], 10)).toEqual(new Set(['silent']));
    expect(await core.bus.publishConfirmed(event, ['silent'], 10)).toEqual(new Set());
  },
);

clusterTest('notices are expected to arrive only while the connection is open', async () => {
  const core = await createTestCore();
  let isListening = true;
  const open = async (options: NotifierOptions): Promise<Notifier> => {
    const notifier = await openPostgresNotifier(options);
    return Object.create(notifier, {
      listening: { get: () => isListening && notifier.listening },
    }) as Notifier;
  };
  const compare = vi.fn(core.tails.compare);
  const node = { ...core, tails: { ...core.tails, compare } };
  await using _node = await connect(node, core.url ?? '', { open, compareMs: 20 });
  for (const expected of [true, false, true]) {
    isListening = expected;
    await vi.waitFor(() => expect(compare).toHaveBeenLastCalledWith({ noticesMayArrive: expected }), {
      timeout: 5_000,
    });
  }
});

clusterTest('a signal that the receiving node drops is not confirmed', async () => {
  await using cluster = await startTestCluster();
  const { a, b, nodeIds } = cluster;
  const [, idOfB = ''] = nodeIds;
  let isAccepted = false;
  b.bus.subscribe(TOPIC, () => isAccepted);
  await b.bus.whenFollowed(TOPIC);
  const notice = { kind: 'ephemeral', ephemeral: createTyping(1) } as const;
  expect(await a.bus.publishConfirmed(notice, [idOfB], 300)).toEqual(new Set());
  isAccepted = true;
  expect(await a.bus.publishConfirmed(notice, [idOfB], 5_000)).toEqual(new Set([idOfB]));
});
