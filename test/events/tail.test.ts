import fc from 'fast-check';
import { expect, inject, onTestFinished, test, vi } from 'vitest';
import type { ActorRef } from '../../src/actor.ts';
import { createTopics } from '../../src/db/event-log.ts';
import type { Db } from '../../src/db/database.ts';
import type { Notice } from '../../src/events/bus.ts';
import { createBus } from '../../src/events/bus.ts';
import { accountTopic } from '../../src/events/event.ts';
import type { Envelope, Ephemeral } from '../../src/events/event.ts';
import { createEventLog } from '../../src/db/event-log.ts';
import { pingDatabase } from '../../src/db/postgres.ts';
import type { EventLog } from '../../src/db/event-log.ts';
import { createTails } from '../../src/events/tail.ts';
import type { Follower } from '../../src/events/tail-source.ts';
import type { Tail } from '../../src/events/tail.ts';
import { transact } from '../../src/events/unit-of-work.ts';
import type { UserId } from '../../src/ids.ts';
import { createLogger } from '../../src/log.ts';
import {
  createActorView,
  createLink,
  createNode,
  readNumber,
  emitEvents,
  createTestCore,
  TOPIC,
  createTyping,
  keepNewest,
} from '../harness/event-core.ts';
import type { Core } from '../harness/event-core.ts';
import { openTestDatabase } from '../harness/database.ts';
import { countLockWaits, lockRows } from '../harness/lock-rows.ts';
import { range } from '../harness/numbers.ts';

const silent = createLogger('silent');
/** Page size of a tail. */
const PAGE_SIZE = 200;

async function openTail(core: Pick<Core, 'tails'>): Promise<Tail> {
  const tail = await core.tails.open(TOPIC);
  if (tail === undefined) throw new Error('The topic does not exist');
  return tail;
}

/** Follows the topic, and records the deliveries. */
async function followTopic(core: Pick<Core, 'tails'>) {
  const tail = await openTail(core);
  const numbers: number[] = [];
  const ephemerals: Ephemeral[] = [];
  let gaps = 0;
  const follower: Follower = {
    onEvent: ({ event }) => void numbers.push(readNumber(event)),
    onEphemeral: (ephemeral) => void ephemerals.push(ephemeral),
    onGap: () => void (gaps += 1),
  };
  tail.follow(follower);
  const waitForSeq = (seq: number) =>
    vi.waitFor(() => expect(tail.deliveredSeq).toBe(seq), { timeout: 5_000 });
  return { tail, numbers, ephemerals, unfollow: () => tail.unfollow(follower), waitForSeq, gaps: () => gaps };
}

/** Commits events without notifying this node. Returns the notices. */
async function commitOnOtherNode(core: Core, ...numbers: readonly number[]): Promise<Notice[]> {
  const otherNode = createNode(core);
  const notices: Notice[] = [];
  otherNode.bus.subscribe(TOPIC, (notice) => void notices.push(notice));
  await emitEvents(otherNode, ...numbers);
  return notices;
}

const createAdvancedNotice = (seq: number): Notice => ({ kind: 'advanced', topic: TOPIC, seq });

test('a tail starts at the head and delivers later events', async () => {
  const core = await createTestCore();
  await emitEvents(core, 1, 2);
  const { tail, numbers } = await followTopic(core);
  expect(tail.deliveredSeq).toBe(2);
  await emitEvents(core, 3, 4);
  expect(numbers).toEqual([3, 4]);
});

test('a topic without a log has no tail until the log is created', async () => {
  const core = await createTestCore();
  expect(await core.tails.open('conversation:99')).toBeUndefined();
  expect([...core.bus.topics()]).toEqual([]);
});

test('a duplicate notice is delivered once', async () => {
  const core = await createTestCore();
  const { numbers, waitForSeq } = await followTopic(core);
  const [first, second] = await commitOnOtherNode(core, 1, 2);
  for (const notice of [first, first, second, first, second]) if (notice) core.bus.receive(notice);
  await waitForSeq(2);
  expect(numbers).toEqual([1, 2]);
});

test('after a gap the tail reads the log, and drops the late notice', async () => {
  const core = await createTestCore();
  const { numbers, waitForSeq } = await followTopic(core);
  const [first, second, third] = await commitOnOtherNode(core, 1, 2, 3);
  if (third) core.bus.receive(third);
  if (first) core.bus.receive(first);
  await waitForSeq(3);
  if (second) core.bus.receive(second);
  await emitEvents(core, 4);
  expect(numbers).toEqual([1, 2, 3, 4]);
});

test('a notice without payload makes the tail read the log', async () => {
  const core = await createTestCore();
  const { numbers, waitForSeq } = await followTopic(core);
  await commitOnOtherNode(core, ...range(1, 450));
  core.bus.receive(createAdvancedNotice(450));
  await waitForSeq(450);
  expect(numbers).toEqual(range(1, 450));
});

test('a notice of an event that is not in the log blocks nothing', async () => {
  const core = await createTestCore();
  const { numbers, waitForSeq } = await followTopic(core);
  core.bus.receive(createAdvancedNotice(1_000));
  await commitOnOtherNode(core, 1);
  core.bus.receive(createAdvancedNotice(1));
  await waitForSeq(1);
  await emitEvents(core, 2);
  await waitForSeq(2);
  expect(numbers).toEqual([1, 2]);
});

test('a lost last notice is found by comparison', async () => {
  const core = await createTestCore();
  const { numbers, waitForSeq } = await followTopic(core);
  await commitOnOtherNode(core, 1, 2);
  expect(numbers).toEqual([]);
  await core.tails.compare();
  await waitForSeq(2);
  expect(numbers).toEqual([1, 2]);
});

test('a notice that arrives as the log is read to its end is not lost', async () => {
  const core = await createTestCore();
  const { tail, numbers, waitForSeq } = await followTopic(core);
  await commitOnOtherNode(core, ...range(1, PAGE_SIZE + 1));
  tail.follow({
    onEvent: ({ seq }) => {
      if (seq === PAGE_SIZE) queueMicrotask(() => core.bus.receive(createAdvancedNotice(PAGE_SIZE + 1)));
    },
  });
  core.bus.receive(createAdvancedNotice(PAGE_SIZE));
  await waitForSeq(PAGE_SIZE + 1);
  expect(numbers).toEqual(range(1, PAGE_SIZE + 1));
});

test('each event is delivered exactly once and in order, regardless of what the bus loses, duplicates or reorders', async () => {
  const core = await createTestCore();
  let committed = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          wait: fc.boolean(),
          copies: fc.integer({ min: 0, max: 2 }),
          withoutPayload: fc.boolean(),
          at: fc.nat(),
        }),
        {
          minLength: 1,
          maxLength: 25,
        },
      ),
      async (notices) => {
        const committedBefore = committed;
        const { tail, numbers, waitForSeq } = await followTopic(core);
        const announcements: { at: number; wait: boolean; notice: Notice }[] = [];
        for (const { at, wait, copies, withoutPayload } of notices) {
          committed += 1;
          const [notice] = await commitOnOtherNode(core, committed);
          if (notice === undefined) throw new Error('The commit published no notice');
          for (let copy = 0; copy < copies; copy += 1)
            announcements.push({
              at: at * (copy + 1),
              wait,
              notice: withoutPayload ? createAdvancedNotice(committed) : notice,
            });
        }
        for (const { wait, notice } of announcements.toSorted((a, b) => a.at - b.at)) {
          core.bus.receive(notice);
          if (wait) await new Promise(setImmediate);
        }
        await core.tails.compare();
        await waitForSeq(committed);
        expect(numbers).toEqual(range(committedBefore + 1, committed));
        tail.close();
      },
    ),
    { numRuns: 25 },
  );
});

test('ephemeral notices are delivered while the log is read', async () => {
  const core = await createTestCore();
  const { ephemerals } = await followTopic(core);
  core.bus.receive(createAdvancedNotice(1));
  core.bus.publish([{ kind: 'ephemeral', ephemeral: createTyping(3) }]);
  expect(ephemerals).toEqual([createTyping(3)]);
});

test('followers are notified of events that were trimmed before this node read them', async () => {
  const core = await createTestCore();
  const { numbers, waitForSeq, gaps } = await followTopic(core);
  await commitOnOtherNode(core, ...range(1, 10));
  await keepNewest(core.db, 4);
  core.bus.receive(createAdvancedNotice(10));
  await waitForSeq(10);
  expect(gaps()).toBe(1);
  expect(numbers).toEqual([7, 8, 9, 10]);
});

test('a log that was trimmed to its end leaves a tail at its head', async () => {
  const core = await createTestCore();
  const { numbers, waitForSeq } = await followTopic(core);
  await commitOnOtherNode(core, 1, 2, 3);
  await keepNewest(core.db, 0);
  core.bus.receive(createAdvancedNotice(3));
  await waitForSeq(3);
  await emitEvents(core, 4);
  expect(numbers).toEqual([4]);
});

test('all readers of a topic share one bus subscription, which the last one ends', async () => {
  const core = await createTestCore();
  const subscribe = vi.spyOn(core.bus, 'subscribe');
  const tails = await Promise.all([openTail(core), openTail(core), openTail(core)]);
  expect(subscribe).toHaveBeenCalledTimes(1);
  tails[0]?.close();
  tails[0]?.close();
  tails[0]?.close();
  tails[1]?.close();
  expect([...core.bus.topics()]).toEqual([TOPIC]);
  tails[2]?.close();
  expect([...core.bus.topics()]).toEqual([]);
  await emitEvents(core, 1);
  expect((await openTail(core)).deliveredSeq).toBe(1);
});

test('an unfollowed reader receives nothing, while others do', async () => {
  const core = await createTestCore();
  const first = await followTopic(core);
  const second = await followTopic(core);
  await emitEvents(core, 1);
  first.unfollow();
  first.tail.close();
  await emitEvents(core, 2);
  expect(first.numbers).toEqual([1]);
  expect(second.numbers).toEqual([1, 2]);
});

/** Wraps a database whose next queries fail. */
function createFlakyDatabase(db: Db) {
  let failures = 0;
  const selectFrom = db.selectFrom.bind(db);
  const flakyDb = Object.create(db, {
    selectFrom: {
      value: (...args: Parameters<Db['selectFrom']>) => {
        if (failures <= 0) return selectFrom(...args);
        failures -= 1;
        throw new Error('unavailable');
      },
    },
  }) as Db;
  return { db: flakyDb, fail: (times: number) => void (failures = times) };
}

test('a failed read of the log is retried', async () => {
  const core = await createTestCore();
  const { db, fail } = createFlakyDatabase(core.db);
  const bus = createBus(silent);
  const { numbers, waitForSeq } = await followTopic({
    tails: createTails({ ...core, eventLog: createEventLog(db), bus, log: silent }),
  });
  await emitEvents(core, 1, 2);
  fail(2);
  bus.receive(createAdvancedNotice(2));
  await waitForSeq(2);
  expect(numbers).toEqual([1, 2]);
});

test('a topic whose head cannot be read leaves nothing open', async () => {
  const core = await createTestCore();
  const { db, fail } = createFlakyDatabase(core.db);
  const bus = createBus(silent);
  const tails = createTails({ ...core, eventLog: createEventLog(db), bus, log: silent });
  fail(2);
  await expect(Promise.all([tails.open(TOPIC), tails.open(TOPIC)])).rejects.toThrow('unavailable');
  await expect(tails.open(TOPIC)).rejects.toThrow('unavailable');
  expect([...bus.topics()]).toEqual([]);
  expect(await tails.open(TOPIC)).toMatchObject({ deliveredSeq: 0 });
});

test('a follower that throws does not affect the others', async () => {
  const core = await createTestCore();
  const tail = await openTail(core);
  tail.follow({
    onEvent() {
      throw new Error('The follower failed');
    },
  });
  const envelopes: Envelope[] = [];
  tail.follow({ onEvent: (envelope) => void envelopes.push(envelope) });
  await emitEvents(core, 1, 2);
  expect(envelopes.map(({ seq }) => seq)).toEqual([1, 2]);
});

test('a node that has not compared with the log recently delivers the ends of sessions first', async () => {
  const core = await createTestCore();
  const account: ActorRef = { kind: 'user', id: 7 as UserId };
  await core.db.transaction().execute((tx) => createTopics(tx, [accountTopic(account)]));
  const bus = createBus(silent);
  const tails = createTails({ ...core, eventLog: createEventLog(core.db), bus, log: silent, leaseMs: 0 });
  const delivered: string[] = [];
  for (const topic of [accountTopic(account), TOPIC]) {
    const tail = await tails.open(topic);
    tail?.follow({
      onEvent: ({ event }) => void delivered.push(event.type),
      onEphemeral: ({ type }) => void delivered.push(type),
    });
  }
  // Its notice does not reach this node.
  await transact(createNode(core), async (unit) =>
    unit.emit({ type: 'session.ended', account, tokenId: 'revoked' }),
  );
  bus.publish([{ kind: 'ephemeral', ephemeral: createTyping(1) }]);
  await emitEvents({ ...core, bus }, 1);
  await vi.waitFor(() => expect(delivered).toHaveLength(3));
  expect(delivered[0]).toBe('session.ended');
});

test('events that wait for a comparison are delivered in order, without reading them from the log', async () => {
  const core = await createTestCore();
  const eventLog = createEventLog(core.db);
  const readAfter = vi.fn(eventLog.readAfter);
  const bus = createBus(silent);
  const tails = createTails({
    ...core,
    eventLog: { ...eventLog, readAfter },
    bus,
    log: silent,
    leaseMs: 0,
  });
  const { numbers, waitForSeq } = await followTopic({ tails });
  const node = { ...core, bus };
  for (const number of range(1, 5)) await emitEvents(node, number);
  await emitEvents(node, 6, 7);
  await waitForSeq(7);
  expect(numbers).toEqual(range(1, 7));
  expect(readAfter).not.toHaveBeenCalled();
});

test('pages of the log are returned after the ends of sessions, too', async () => {
  const core = await createTestCore();
  const account: ActorRef = { kind: 'user', id: 7 as UserId };
  await core.db.transaction().execute((tx) => createTopics(tx, [accountTopic(account)]));
  const tails = createTails({
    ...core,
    eventLog: createEventLog(core.db),
    bus: createBus(silent),
    log: silent,
    leaseMs: 0,
  });
  const ended: string[] = [];
  const accountTail = await tails.open(accountTopic(account));
  accountTail?.follow({ onEvent: ({ event }) => void ended.push(event.type) });
  const tail = await tails.open(TOPIC);
  await transact(createNode(core), async (unit) =>
    unit.emit({ type: 'session.ended', account, tokenId: 'revoked' }),
  );
  await emitEvents(createNode(core), 1);
  expect((await tail?.readAfter(0, 10))?.entries).toHaveLength(1);
  expect(ended).toEqual(['session.ended']);
});

test.skipIf(inject('database') !== 'postgres')(
  'accounts that are behind leave a connection for the heartbeat',
  async () => {
    const { url = '', control } = await openTestDatabase();
    const core = await createTestCore();
    const topics = range(1, 20).map((id) => accountTopic({ kind: 'user', id: id as UserId }));
    await core.db.transaction().execute((tx) => createTopics(tx, topics));
    const controlLog = createEventLog(control);
    let ended = 0;
    const readAfter: typeof controlLog.readAfter = (...page) =>
      controlLog.readAfter(...page).finally(() => (ended += 1));
    const tails = createTails({
      ...core,
      eventLog: createEventLog(core.db),
      controlLog: { ...controlLog, readAfter },
      log: silent,
    });
    await Promise.all(topics.map((topic) => tails.open(topic)));
    await using lock = await lockRows(url, 'lock table events in access exclusive mode');
    core.bus.publish(topics.map((topic) => ({ kind: 'advanced', topic, seq: 1 })));
    await vi.waitFor(async () => expect(await countLockWaits(core.db)).not.toBe(0), { timeout: 5_000 });
    await pingDatabase(control);
    expect(ended).toBeLessThan(topics.length / 2);
    await lock.release();
    await vi.waitFor(() => expect(tails.lag()).toBe(0), { timeout: 10_000 });
  },
);
/** A node whose reads of the log are counted, after its first comparison. */
async function createComparedNode() {
  const core = await createTestCore();
  const eventLog = createEventLog(core.db);
  const readAfter = vi.fn(eventLog.readAfter);
  const bus = createBus(silent);
  const tails = createTails({ ...core, eventLog: { ...eventLog, readAfter }, bus, log: silent });
  const compare = () => tails.compare({ noticesMayArrive: true });
  const followed = await followTopic({ tails });
  await compare();
  return { core, bus, tails, readAfter, compare, ...followed };
}

test('events that the bus delivers after a comparison has found them are not read from the log', async () => {
  const { core, bus, readAfter, compare, numbers } = await createComparedNode();
  for (const number of range(1, 5)) {
    const notices = await commitOnOtherNode(core, number);
    // Calls that share a comparison.
    await Promise.all([compare(), compare()]);
    for (const notice of notices) bus.receive(notice);
  }
  await compare();
  expect(numbers).toEqual(range(1, 5));
  expect(readAfter).not.toHaveBeenCalled();
});

test('an event whose notice has not arrived by the next comparison is read from the log', async () => {
  const { core, readAfter, compare, numbers, waitForSeq } = await createComparedNode();
  await commitOnOtherNode(core, 1);
  await compare();
  expect(readAfter).not.toHaveBeenCalled();
  await commitOnOtherNode(core, 2);
  await compare();
  await waitForSeq(2);
  expect(numbers).toEqual([1, 2]);
});

test('without the bus, events that comparisons have found are read immediately', async () => {
  const { core, tails, compare, numbers, waitForSeq } = await createComparedNode();
  await commitOnOtherNode(core, 1);
  await compare();
  await tails.compare();
  await waitForSeq(1);
  await commitOnOtherNode(core, 2);
  await tails.compare();
  await waitForSeq(2);
  expect(numbers).toEqual([1, 2]);
});

test('the end of a session is delivered by the comparison that finds it', async () => {
  const { core, tails, compare } = await createComparedNode();
  const account: ActorRef = { kind: 'user', id: 7 as UserId };
  await core.db.transaction().execute((tx) => createTopics(tx, [accountTopic(account)]));
  const ended: string[] = [];
  const tail = await tails.open(accountTopic(account));
  tail?.follow({ onEvent: ({ event }) => void ended.push(event.type) });
  await transact(createNode(core), async (unit) =>
    unit.emit({ type: 'session.ended', account, tokenId: 'revoked' }),
  );
  await compare();
  expect(ended).toEqual(['session.ended']);
});

/** A node that delivers after a comparison, which waits for `before`. */
async function createGatedNode(leaseMs: number, before: () => Promise<void> = async () => {}) {
  const core = await createTestCore();
  const eventLog = createEventLog(core.db);
  const readChanges: EventLog['readChanges'] = async (since) => {
    await before();
    return eventLog.readChanges(since);
  };
  const bus = createBus(silent);
  const tails = createTails({ ...core, eventLog: { ...eventLog, readChanges }, bus, log: silent, leaseMs });
  const { ephemerals } = await followTopic({ tails });
  const publish = (number: number) => bus.publish([{ kind: 'ephemeral', ephemeral: createTyping(number) }]);
  const received = () =>
    ephemerals.map((ephemeral) =>
      ephemeral.type === 'typing' && ephemeral.actor.kind === 'user'
        ? ephemeral.actor.user.id
        : ephemeral.type,
    );
  return { bus, tails, publish, received };
}

test('items that are not in the log keep their order when a comparison fails', async () => {
  let comparisons = 0;
  const { tails, publish, received } = await createGatedNode(60_000, async () => {
    comparisons += 1;
    if (comparisons === 1) throw new Error('unavailable');
  });
  for (const number of range(1, 20)) publish(number);
  await vi.waitFor(() => expect(comparisons).toBe(1), { timeout: 5_000 });
  expect(received()).toEqual([]);
  await tails.compare();
  publish(21);
  await vi.waitFor(() => expect(received()).toHaveLength(21), { timeout: 5_000 });
  expect(received()).toEqual(range(1, 21));
});

test('an item that arrives during a comparison waits for the next one, if the lease ends before', async () => {
  const started: (() => void)[] = [];
  const { publish, received } = await createGatedNode(
    0,
    () => new Promise((resolve) => started.push(resolve)),
  );
  publish(1);
  await vi.waitFor(() => expect(started).toHaveLength(1), { timeout: 5_000 });
  publish(2);
  started[0]?.();
  await vi.waitFor(() => expect(started).toHaveLength(2), { timeout: 5_000 });
  expect(received()).toEqual([1]);
  started[1]?.();
  await vi.waitFor(() => expect(received()).toEqual([1, 2]), { timeout: 5_000 });
});

test('a signal that is dropped, because too much waits for a comparison, is not confirmed', async () => {
  const { bus, received } = await createGatedNode(0);
  const send = (content: string) => {
    const sender = createActorView(1);
    const ephemeral = { type: 'signal', topic: TOPIC, sender, content, legacyLease: null } as const;
    return bus.publishConfirmed({ kind: 'ephemeral', ephemeral }, ['own', 'other'], 10);
  };
  expect(await send('x'.repeat(17_000_000))).toEqual(new Set());
  expect(await send('offer')).toEqual(new Set(['own', 'other']));
  bus.connect({
    ...createLink(() => undefined),
    sendConfirmed: async (_notice, nodeIds) => new Set(nodeIds),
  });
  expect(await send('x'.repeat(17_000_000))).toEqual(new Set(['other']));
  expect(await send('offer')).toEqual(new Set(['own', 'other']));
  await vi.waitFor(() => expect(received()).toEqual(['signal', 'signal']), { timeout: 5_000 });
});

test('the time during which the machine was suspended counts', async () => {
  const { tails, publish, received } = await createGatedNode(60_000);
  await tails.compare();
  publish(1);
  expect(received()).toEqual([1]);
  // The monotonic clock does not run meanwhile.
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 });
  onTestFinished(() => void vi.useRealTimers());
  expect(tails.isCurrent).toBe(false);
  publish(2);
  expect(received()).toEqual([1]);
  await vi.waitFor(() => expect(received()).toEqual([1, 2]), { timeout: 5_000 });
});
