import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { forbidden, notFound } from '../../src/errors.ts';
import { BufferBudget } from '../../src/lib/buffer-budget.ts';
import { encodeCursor } from '../../src/events/cursor.ts';
import { transact } from '../../src/events/unit-of-work.ts';
import type { TransactDeps } from '../../src/events/unit-of-work.ts';
import type { EventStream, StreamItem } from '../../src/events/stream.ts';
import { openStream } from '../../src/events/open-stream.ts';
import type { UserId } from '../../src/ids.ts';
import {
  cursorAt,
  createParticipantDeleted,
  createNumberedEvent,
  createParticipantKicked,
  createMessageSent,
  createNode,
  readNumber,
  openTopic,
  READER,
  emitEvents,
  readNumbers,
  readItems,
  createTestCore,
  TOPIC,
  createLink,
  keepNewest,
} from '../harness/event-core.ts';
import type { Core } from '../harness/event-core.ts';
import { errorWithCode } from '../harness/matchers.ts';
import { stagger } from '../harness/waiting.ts';
import { range } from '../harness/numbers.ts';

const emitKick = (core: TransactDeps, number: number) =>
  transact(core, async (unit) => unit.emit(createParticipantKicked(number)));

const emitDeletion = (core: TransactDeps, number: number) =>
  transact(core, async (unit) => unit.emit(createParticipantDeleted(number)));

/** Reads until the server ends the stream. Returns the items and the error. */
async function readToEnd(stream: EventStream) {
  const numbers: number[] = [];
  try {
    for await (const item of stream) if (item.type === 'event') numbers.push(readNumber(item.event));
  } catch (error) {
    return { numbers, error };
  }
  return { numbers, error: undefined };
}

test('a stream without a cursor is live immediately, and starts at the head', async () => {
  const core = await createTestCore();
  await emitEvents(core, 1, 2);
  const stream = await openTopic(core);
  expect(await readNumbers(stream, 1)).toEqual(['live']);
  await emitEvents(core, 3, 4);
  expect(await readNumbers(stream, 2)).toEqual([3, 4]);
});

test('events before the first read are not lost', async () => {
  const core = await createTestCore();
  const stream = await openTopic(core);
  await emitEvents(core, 1, 2);
  expect(await readNumbers(stream, 3)).toEqual([1, 2, 'live']);
});

test('a stream with a cursor delivers the backlog, then the live item', async () => {
  const core = await createTestCore();
  await emitEvents(core, ...range(1, 250));
  const stream = await openTopic(core, { after: cursorAt(core, 20) });
  expect(await readNumbers(stream, 231)).toEqual([...range(21, 250), 'live']);
  await emitEvents(core, 251);
  expect(await readNumbers(stream, 1)).toEqual([251]);
});

test('a client can resume after every item, including the live item', async () => {
  const core = await createTestCore();
  await emitEvents(core, 1, 2, 3);
  const items = await readItems(await openTopic(core, { after: cursorAt(core, 0) }), 4);
  expect(items.map(({ type }) => type)).toEqual(['event', 'event', 'event', 'live']);
  await emitEvents(core, 4);
  const expected = [[2, 3, 4], [3, 4], [4], [4]];
  for (const [index, { cursor }] of items.entries()) {
    const stream = await openTopic(core, { after: cursor });
    expect(await readNumbers(stream, (expected[index]?.length ?? 0) + 1)).toEqual([
      ...(expected[index] ?? []),
      'live',
    ]);
    await stream.return();
  }
});

test('resuming while several nodes write delivers each event once and in order', async () => {
  const core = await createTestCore();
  const writers = [core, createNode(core), createNode(core)];
  const readers = [createNode(core), createNode(core)];
  const total = 120;
  // The nodes receive all of each other's notices, late and twice.
  for (const writer of writers) {
    writer.bus.connect(
      createLink((notices) => {
        for (const node of [core, ...writers, ...readers]) {
          if (node === writer) continue;
          for (const delay of [0, 3]) {
            void stagger(delay).then(() => {
              for (const notice of notices) node.bus.receive(notice);
            });
          }
        }
      }),
    );
  }
  // Few at a time: all of them would wait for one topic, on a busy machine for longer than a write may.
  const chains = 15;
  const writes = range(1, chains).map(async (first) => {
    for (let number = first; number <= total; number += chains) {
      await stagger(number % 7);
      await emitEvents(writers[number % 3] ?? core, number);
    }
  });
  const followAll = async (node: Pick<Core, 'db' | 'bus' | 'tails'>) => {
    const numbers: number[] = [];
    let after = cursorAt(core, 0);
    while (numbers.length < total) {
      const stream = await openTopic({ ...core, ...node }, { after });
      for (let remaining = 13; remaining > 0 && numbers.length < total; remaining -= 1) {
        const { value } = await stream.next();
        if (value === undefined) break;
        after = value.cursor;
        if (value.type === 'event') numbers.push(readNumber(value.event));
      }
      await stream.return();
    }
    return numbers;
  };
  const reads = [followAll(core), ...readers.map(followAll)];
  await Promise.all(writes);
  const results = await Promise.all(reads);
  for (const numbers of results) {
    expect(numbers.toSorted((a, b) => a - b)).toEqual(range(1, total));
    expect(numbers).toEqual(results[0]);
  }
});

test('a reader that stops reading falls back to the log and misses nothing', async () => {
  const core = await createTestCore();
  const slowStream = await openTopic(core);
  const fastStream = await openTopic(core);
  expect(await readNumbers(slowStream, 1)).toEqual(['live']);
  expect(await readNumbers(fastStream, 1)).toEqual(['live']);
  for (const part of range(0, 6)) {
    const numbers = range(part * 100 + 1, part * 100 + 100);
    await emitEvents(core, ...numbers);
    expect(await readNumbers(fastStream, 100)).toEqual(numbers);
  }
  expect(await readNumbers(slowStream, 300)).toEqual(range(1, 300));
  await emitEvents(core, 701, 702);
  expect(await readNumbers(slowStream, 402)).toEqual(range(301, 702));
});

test('a reader that stopped for longer than the log retains events fails with CURSOR_EXPIRED', async () => {
  const core = await createTestCore();
  const stream = await openTopic(core);
  expect(await readNumbers(stream, 1)).toEqual(['live']);
  await emitEvents(core, ...range(1, 300));
  await keepNewest(core.db, 10);
  expect(await readToEnd(stream)).toEqual({
    numbers: range(1, 256),
    error: errorWithCode('CURSOR_EXPIRED', { oldest: cursorAt(core, 290) }),
  });
  expect([...core.bus.topics()]).toEqual([]);
});

test('a reader that stalls before large events does not buffer them, and misses none', async () => {
  const core = await createTestCore();
  const emitLarge = (id: number) =>
    transact(core, async (unit) => unit.emit(createMessageSent(id, 'x'.repeat(8_192))));
  const stream = await openTopic(core);
  expect(await readNumbers(stream, 1)).toEqual(['live']);
  for (const id of range(1, 100)) await emitLarge(id);
  const idOf = (item: StreamItem) =>
    item.type === 'event' && item.event.type === 'message.sent' ? item.event.message.id : 0;
  expect((await readItems(stream, 30)).map(idOf)).toEqual(range(1, 30));
  // The buffer ends where the reader fell behind, and the rest was trimmed from the log.
  await keepNewest(core.db, 5);
  const result = await readToEnd(stream);
  expect(result.error).toEqual(errorWithCode('CURSOR_EXPIRED'));
  expect(result.numbers.length).toBeLessThan(40);
});

test('trimming does not affect a stalled reader whose buffer contains all events', async () => {
  const core = await createTestCore();
  const stream = await openTopic(core);
  expect(await readNumbers(stream, 1)).toEqual(['live']);
  await emitEvents(core, ...range(1, 50));
  await keepNewest(core.db, 10);
  expect(await readNumbers(stream, 50)).toEqual(range(1, 50));
});

test('a cursor before the trimmed position is expired, and the oldest one works', async () => {
  const core = await createTestCore();
  await emitEvents(core, ...range(1, 30));
  await keepNewest(core.db, 10);
  const oldest = cursorAt(core, 20);
  await expect(openTopic(core, { after: cursorAt(core, 19) })).rejects.toThrow(
    errorWithCode('CURSOR_EXPIRED', { oldest }),
  );
  await expect(openTopic(core, { after: cursorAt(core, 0) })).rejects.toThrow(
    errorWithCode('CURSOR_EXPIRED', { oldest }),
  );
  const stream = await openTopic(core, { after: oldest });
  expect(await readNumbers(stream, 11)).toEqual([...range(21, 30), 'live']);
});

test('a stream can be resumed at the end of a log that was trimmed entirely', async () => {
  const core = await createTestCore();
  await emitEvents(core, 1, 2, 3);
  await keepNewest(core.db, 0);
  await expect(openTopic(core, { after: cursorAt(core, 2) })).rejects.toThrow(
    errorWithCode('CURSOR_EXPIRED'),
  );
  const stream = await openTopic(core, { after: cursorAt(core, 3) });
  await emitEvents(core, 4);
  expect(await readNumbers(stream, 2)).toEqual([4, 'live']);
});

test.each([
  ['of another topic', (core: Core) => cursorAt(core, 0, 'conversation:2')],
  ['of another database', () => encodeCursor('ffffffff', TOPIC, 0)],
  ['beyond the head', (core: Core) => cursorAt(core, 4)],
  ['empty', () => ''],
  ['malformed', () => 'not a cursor'],
  ['too long', () => 'A'.repeat(201)],
])('a cursor that is %s is rejected, and leaves nothing open', async (_description, cursorOf) => {
  const core = await createTestCore();
  await emitEvents(core, 1, 2, 3);
  await expect(openTopic(core, { after: cursorOf(core) })).rejects.toThrow(errorWithCode('CURSOR_INVALID'));
  expect([...core.bus.topics()]).toEqual([]);
});

test('an unauthorised client does not learn whether its cursor is valid', async () => {
  const core = await createTestCore();
  const authorize = () => Promise.reject(notFound('The conversation'));
  for (const after of ['', cursorAt(core, 99), null]) {
    await expect(openTopic(core, { authorize, after })).rejects.toThrow(errorWithCode('NOT_FOUND'));
  }
  expect([...core.bus.topics()]).toEqual([]);
});

test('a topic without a log is not found', async () => {
  const core = await createTestCore();
  await expect(openTopic(core, { topic: 'conversation:2' })).rejects.toThrow(errorWithCode('NOT_FOUND'));
});

test('the stream of a removed actor ends after the event of the removal', async () => {
  const core = await createTestCore();
  const stream = await openTopic(core);
  await emitEvents(core, 1);
  await emitKick(core, 8);
  await emitKick(core, 7);
  await emitEvents(core, 2);
  const { numbers, error } = await readToEnd(stream);
  expect(numbers).toEqual([1, Number.NaN, Number.NaN]);
  expect(error).toEqual(errorWithCode('FORBIDDEN', { reason: 'KICKED' }));
  expect(await stream.next()).toEqual({ done: true, value: undefined });
  expect([...core.bus.topics()]).toEqual([]);
});

test('the stream of a stalled reader that is removed ends after the event of the removal', async () => {
  const core = await createTestCore();
  const stream = await openTopic(core);
  await emitEvents(core, ...range(1, 290));
  await emitKick(core, 7);
  await emitEvents(core, ...range(292, 600));
  const { numbers, error } = await readToEnd(stream);
  expect(numbers).toHaveLength(291);
  expect(error).toEqual(errorWithCode('FORBIDDEN', { reason: 'KICKED' }));
});

test('a removal that commits after the check, while subscribing, ends the stream', async () => {
  const core = await createTestCore();
  const stream = await openTopic(core, {
    async authorize() {
      // The removal commits after the check and before its result arrives.
      await emitKick(core, 7);
      await emitEvents(core, 1);
    },
  });
  const { numbers, error } = await readToEnd(stream);
  expect(numbers).toEqual([Number.NaN]);
  expect(error).toEqual(errorWithCode('FORBIDDEN', { reason: 'KICKED' }));
});

test('a removal that commits while subscribing ends a resumed stream', async () => {
  const core = await createTestCore();
  await emitEvents(core, 1, 2);
  const stream = await openTopic(core, { after: cursorAt(core, 0), authorize: () => emitKick(core, 7) });
  const { numbers, error } = await readToEnd(stream);
  expect(numbers).toEqual([1, 2, Number.NaN]);
  expect(error).toEqual(errorWithCode('FORBIDDEN', { reason: 'KICKED' }));
});

test('a removal before the actor rejoined does not end the stream', async () => {
  const core = await createTestCore();
  await emitEvents(core, 1);
  await emitKick(core, 7);
  await emitEvents(core, 3);
  const stream = await openTopic(core, { after: cursorAt(core, 0) });
  expect(await readNumbers(stream, 4)).toEqual([1, Number.NaN, 3, 'live']);
});

test('a removal that this node receives after the actor rejoined does not end the stream', async () => {
  const core = await createTestCore();
  const otherNode = createNode(core);
  // Another reader keeps the tail open, and the tail lags behind.
  const otherStream = await openTopic(core, { actor: { kind: 'user', id: 8 as UserId } });
  await emitKick(otherNode, 7);
  await emitEvents(otherNode, 2);
  const stream = await openTopic(core);
  await core.tails.compare();
  await emitEvents(core, 3);
  expect(await readNumbers(stream, 2)).toEqual(expect.arrayContaining([3, 'live']));
  expect(await readNumbers(otherStream, 4)).toEqual([Number.NaN, 2, 3, 'live']);
});

test('the server ends a stream with its reason', async () => {
  const core = await createTestCore();
  const controller = new AbortController();
  const stream = await openTopic(core, { signal: controller.signal });
  await emitEvents(core, 1);
  expect(await readNumbers(stream, 1)).toEqual([1]);
  await emitEvents(core, 2);
  controller.abort('LOGGED_OUT');
  await expect(stream.next()).rejects.toThrow(errorWithCode('UNAUTHENTICATED', { reason: 'LOGGED_OUT' }));
  expect([...core.bus.topics()]).toEqual([]);
});

test('a pending read is woken when its stream is ended', async () => {
  const core = await createTestCore();
  const controller = new AbortController();
  const stream = await openTopic(core, { signal: controller.signal });
  await readNumbers(stream, 1);
  const next = stream.next();
  controller.abort('DRAINING');
  await expect(next).rejects.toThrow(errorWithCode('UNAVAILABLE', { reason: 'DRAINING' }));
});

test('a stream ends without an error when the client has disconnected', async () => {
  const core = await createTestCore();
  const controller = new AbortController();
  const stream = await openTopic(core, { signal: controller.signal });
  await readNumbers(stream, 1);
  const next = stream.next();
  controller.abort();
  expect(await next).toEqual({ done: true, value: undefined });
  expect([...core.bus.topics()]).toEqual([]);
});

test('a stream that was ended before it opened ends at the first read', async () => {
  const core = await createTestCore();
  const stream = await openTopic(core, { signal: AbortSignal.abort('TOKEN_EXPIRED') });
  await expect(stream.next()).rejects.toThrow(errorWithCode('UNAUTHENTICATED', { reason: 'TOKEN_EXPIRED' }));
  const closedStream = await openTopic(core, { signal: AbortSignal.abort() });
  expect(await closedStream.next()).toEqual({ done: true, value: undefined });
  expect([...core.bus.topics()]).toEqual([]);
});

test('a stream whose account is deleted ends after the event of the deletion on its topic', async () => {
  const core = await createTestCore();
  const controller = new AbortController();
  const otherNode = createNode(core);
  const stream = await openTopic(core, { signal: controller.signal });
  await emitEvents(otherNode, ...range(1, 150));
  await emitDeletion(otherNode, 7);
  await emitEvents(otherNode, 2);
  // The node receives the notice of the account before that of the topic.
  controller.abort('ACCOUNT_DELETED');
  const { numbers, error } = await readToEnd(stream);
  expect(numbers).toEqual([...range(1, 150), Number.NaN]);
  expect(error).toEqual(errorWithCode('UNAUTHENTICATED', { reason: 'ACCOUNT_DELETED' }));
  expect([...core.bus.topics()]).toEqual([]);
});

test('a stream whose topic has no event of the deletion ends immediately', async () => {
  const core = await createTestCore();
  const controller = new AbortController();
  const stream = await openTopic(core, { signal: controller.signal });
  expect(await readNumbers(stream, 1)).toEqual(['live']);
  const next = stream.next();
  await emitDeletion(core, 8);
  controller.abort('ACCOUNT_DELETED');
  await emitEvents(core, 1);
  await next;
  await expect(stream.next()).rejects.toThrow(
    errorWithCode('UNAUTHENTICATED', { reason: 'ACCOUNT_DELETED' }),
  );
});

test('a stream can be closed before the first read', async () => {
  const core = await createTestCore();
  const stream = await openTopic(core);
  expect([...core.bus.topics()]).toEqual([TOPIC]);
  await stream.return();
  expect([...core.bus.topics()]).toEqual([]);
  await stream.return();
  expect(await stream.next()).toEqual({ done: true, value: undefined });
});

test('closing a stream ends a pending read', async () => {
  const core = await createTestCore();
  const stream = await openTopic(core);
  await readNumbers(stream, 1);
  const next = stream.next();
  await stream.return();
  expect(await next).toEqual({ done: true, value: undefined });
});

test('concurrent reads are served in order', async () => {
  const core = await createTestCore();
  await emitEvents(core, ...range(1, 150));
  const stream = await openTopic(core, { after: cursorAt(core, 0) });
  const reads = range(1, 152).map(() => stream.next());
  await reads[150];
  await emitEvents(core, 151);
  const values = (await Promise.all(reads)).map(({ value }) =>
    value?.type === 'event' ? readNumber(value.event) : value?.type,
  );
  expect(values).toEqual([...range(1, 150), 'live', 151]);
});

test('an error of the log ends the stream', async () => {
  const core = await createTestCore();
  await emitEvents(core, 1, 2, 3);
  const stream = await openTopic(core, { after: cursorAt(core, 0) });
  await sql`update topics set head = 0`.execute(core.db);
  await core.db.deleteFrom('events').execute();
  await expect(stream.next()).rejects.toThrow('gap');
  expect([...core.bus.topics()]).toEqual([]);
});

test('a failed authorisation leaves nothing open, regardless of its error', async () => {
  const core = await createTestCore();
  const request = {
    topic: TOPIC,
    actor: READER,
    after: null,
    authorize: () => Promise.reject(forbidden('No.')),
  };
  await expect(openStream(core, request)).rejects.toThrow(errorWithCode('FORBIDDEN'));
  expect([...core.bus.topics()]).toEqual([]);
});

test('the events of one unit are delivered in order', async () => {
  const core = await createTestCore();
  const stream = await openTopic(core);
  await transact(core, async (unit) => {
    for (const number of range(1, 5)) unit.emit(createNumberedEvent(number));
  });
  expect(await readNumbers(stream, 6)).toEqual([...range(1, 5), 'live']);
});

/** Wraps the core's tails to count their reads of the log. */
function countReads({ tails, epoch }: Core) {
  let reads = 0;
  const open: Core['tails']['open'] = async (topic) => {
    const tail = await tails.open(topic);
    if (tail === undefined) return undefined;
    const read = tail.readAfter.bind(tail);
    const readAfter: typeof read = (...args) => {
      reads += 1;
      return read(...args);
    };
    return Object.assign(tail, { readAfter });
  };
  return { deps: { tails: { ...tails, open }, epoch }, reads: () => reads };
}

test('an event buffered for several readers of one connection counts once, and is not read from the log', async () => {
  const core = await createTestCore();
  const { deps, reads } = countReads(core);
  const budget = new BufferBudget(100_000);
  const request = { topic: TOPIC, actor: READER, after: null, authorize: async () => {}, budget };
  const streams = await Promise.all(Array.from({ length: 50 }, () => openStream(deps, request)));
  for (const stream of streams) expect(await readNumbers(stream, 1)).toEqual(['live']);
  await transact(core, async (unit) => {
    for (const number of range(1, 10)) unit.emit(createMessageSent(number, 'x'.repeat(4_000)));
  });
  for (const stream of streams) expect(await readItems(stream, 10)).toHaveLength(10);
  expect(reads()).toBe(0);
});

test('readers of one connection stay within its budget, and miss nothing', async () => {
  const core = await createTestCore();
  let bufferedBytes = 0;
  let maxBufferedBytes = 0;
  // Each reader reads its own copy from the log, which counts separately.
  const budget = new (class extends BufferBudget {
    override reserve(object: object, bytes: number): void {
      super.reserve(object, bytes);
      bufferedBytes += bytes;
      maxBufferedBytes = Math.max(maxBufferedBytes, bufferedBytes);
    }
    override release(object: object, bytes: number): void {
      super.release(object, bytes);
      bufferedBytes -= bytes;
    }
  })(100_000);
  const numbers = range(1, 40);
  const maxEventBytes = 21_000;
  await transact(core, async (unit) => {
    for (const number of numbers) unit.emit(createMessageSent(number, 'x'.repeat(10_000)));
  });
  const after = cursorAt(core, 0);
  const streams = await Promise.all(Array.from({ length: 10 }, () => openTopic(core, { budget, after })));
  const firstItems = await Promise.all(streams.map((stream) => readItems(stream, 1)));
  expect(maxBufferedBytes).toBeGreaterThan(100_000);
  expect(maxBufferedBytes).toBeLessThanOrEqual(100_000 + (streams.length + 1) * maxEventBytes);
  for (const [index, stream] of streams.entries()) {
    const items = [...(firstItems[index] ?? []), ...(await readItems(stream, numbers.length))];
    expect(items.map((item) => item.type)).toEqual([...numbers.map(() => 'event'), 'live']);
    expect(items.map(({ cursor }) => cursor)).toEqual([
      ...numbers.map((seq) => cursorAt(core, seq)),
      cursorAt(core, 40),
    ]);
  }
  await Promise.all(streams.map((stream) => stream.return()));
  expect(bufferedBytes).toBe(0);
});
