import { expect, test, vi } from 'vitest';
import { notFound } from '../../src/errors.ts';
import type { DomainError } from '../../src/errors.ts';
import { openEphemeralStream } from '../../src/events/ephemeral-stream.ts';
import type { EphemeralRequest, EphemeralStream } from '../../src/events/ephemeral-stream.ts';
import type { Topic } from '../../src/events/event.ts';
import { transact } from '../../src/events/unit-of-work.ts';
import type { CircleId, ConversationId } from '../../src/ids.ts';
import { BufferBudget } from '../../src/lib/buffer-budget.ts';
import {
  createParticipantKicked,
  createNode,
  READER,
  emitEvents,
  createTestCore,
  TOPIC,
  createTyping,
  keepNewest,
} from '../harness/event-core.ts';
import type { Core } from '../harness/event-core.ts';
import { errorWithCode } from '../harness/matchers.ts';
import { range } from '../harness/numbers.ts';

interface TypingItem {
  readonly id: number;
  readonly isTyping: boolean;
}

function openTyping(
  core: Core,
  request: Partial<EphemeralRequest<TypingItem>> = {},
): Promise<EphemeralStream<TypingItem>> {
  return openEphemeralStream<TypingItem>(core, {
    topic: TOPIC,
    actor: READER,
    authorize: async () => {},
    pick: (ephemeral) =>
      ephemeral.type === 'typing' && ephemeral.actor.kind === 'user'
        ? { id: ephemeral.actor.user.id, isTyping: ephemeral.isTyping }
        : undefined,
    key: ({ id }) => String(id),
    ...request,
  });
}

const publish = (core: Core, ...items: ReturnType<typeof createTyping>[]) =>
  core.bus.publish(items.map((ephemeral) => ({ kind: 'ephemeral', ephemeral })));

async function readItems(stream: EphemeralStream<TypingItem>, count: number): Promise<TypingItem[]> {
  const items: TypingItem[] = [];
  while (items.length < count) {
    const { value } = await stream.next();
    if (value === undefined) break;
    items.push(value);
  }
  return items;
}

test('items are delivered to the current subscribers', async () => {
  const core = await createTestCore();
  publish(core, createTyping(1));
  const stream = await openTyping(core);
  publish(core, createTyping(2), createTyping(3));
  expect(await readItems(stream, 2)).toEqual([
    { id: 2, isTyping: true },
    { id: 3, isTyping: true },
  ]);
  const next = stream.next();
  publish(core, createTyping(2, false));
  expect((await next).value).toEqual({ id: 2, isTyping: false });
});

test('only the newest item of a key is buffered for a slow reader', async () => {
  const core = await createTestCore();
  const stream = await openTyping(core);
  for (const round of range(1, 1_000)) publish(core, createTyping(1, round % 2 === 0), createTyping(2));
  publish(core, createTyping(3));
  expect(await readItems(stream, 3)).toEqual([
    { id: 1, isTyping: true },
    { id: 2, isTyping: true },
    { id: 3, isTyping: true },
  ]);
});

test('an event of the topic revokes buffered items, with a key or without', async () => {
  const core = await createTestCore();
  const budget = new BufferBudget();
  for (const key of [({ id }: TypingItem) => String(id), () => null]) {
    const stream = await openTyping(core, {
      key,
      bytesOf: () => 1_000,
      budget,
      selectRevoked: (event) => (event.type === 'participant.kicked' ? ({ id }) => id === 1 : undefined),
    });
    publish(core, createTyping(1), createTyping(2));
    await transact(core, async (unit) => unit.emit(createParticipantKicked(1)));
    expect(await readItems(stream, 1)).toEqual([{ id: 2, isTyping: true }]);
    expect(budget.reserved).toBe(0);
    publish(core, createTyping(1));
    expect(await readItems(stream, 1)).toEqual([{ id: 1, isTyping: true }]);
    await stream.return();
  }
});

test('items without a key are all buffered, up to a limit: then the stream ends', async () => {
  const core = await createTestCore();
  const stream = await openTyping(core, { key: () => null });
  publish(core, ...range(1, 256).map((id) => createTyping(id)));
  expect(await readItems(stream, 256)).toHaveLength(256);
  publish(core, ...range(1, 257).map((id) => createTyping(id)));
  await expect(stream.next()).rejects.toThrow(errorWithCode('LIMIT_EXCEEDED', { reason: 'SLOW' }));
  expect([...core.bus.topics()]).toEqual([]);
});

test.for([
  ['returned', 'complete'],
  ['closed by its client', 'complete'],
  ['ended by the server', 'LOGGED_OUT'],
  ['too slow', 'SLOW'],
] as const)('a stream that is %s frees what it has buffered, even if it is not read', async ([name, end]) => {
  const core = await createTestCore();
  const budget = new BufferBudget();
  const controller = new AbortController();
  const request = { key: () => null, bytesOf: () => 1_000, budget, signal: controller.signal };
  const stream = await openTyping(core, request);
  publish(core, ...range(1, 100).map((id) => createTyping(id)));
  expect(budget.reserved).toBe(100_000);
  if (name === 'returned') await stream.return();
  else if (name === 'too slow') publish(core, ...range(1, 157).map((id) => createTyping(id)));
  else controller.abort(name === 'ended by the server' ? end : undefined);
  expect(budget.reserved).toBe(0);
  publish(core, createTyping(1));
  expect(budget.reserved).toBe(0);
  const last = stream.next().then(
    ({ done }) => (done === true ? 'complete' : 'item'),
    (error: unknown) => (error as DomainError).details.reason,
  );
  expect(await last).toBe(end);
  expect([...core.bus.topics()]).toEqual([]);
});

test('initial items are delivered first, then those that were buffered while the stream opened', async () => {
  const core = await createTestCore();
  const stream = await openTyping(core, {
    async onAuthorized() {
      publish(core, createTyping(1, false), createTyping(3));
      return {
        items: [
          { id: 1, isTyping: true },
          { id: 2, isTyping: true },
        ],
      };
    },
  });
  publish(core, createTyping(4));
  expect(await readItems(stream, 4)).toEqual([
    { id: 2, isTyping: true },
    { id: 1, isTyping: false },
    { id: 3, isTyping: true },
    { id: 4, isTyping: true },
  ]);
});

test('the stream of a removed actor ends', async () => {
  const core = await createTestCore();
  const stream = await openTyping(core);
  const next = stream.next();
  await transact(core, async (unit) => unit.emit(createParticipantKicked(7)));
  await expect(next).rejects.toThrow(errorWithCode('FORBIDDEN', { reason: 'KICKED' }));
  expect([...core.bus.topics()]).toEqual([]);
});

test('a stream ends with the first of several reasons, as for an actor kicked from a conversation that is then deleted', async () => {
  const core = await createTestCore();
  const stream = await openTyping(core);
  const at = '2026-01-01T00:00:00.000Z';
  const conversation = {
    id: 1 as ConversationId,
    circleId: 1 as CircleId,
    name: 'Plans',
    deviceAccess: false,
    readReceipts: false,
    createdAt: at,
    updatedAt: at,
  };
  await transact(core, async (unit) => {
    unit.emit(createParticipantKicked(7));
    unit.emit({ type: 'conversation.deleted', conversation });
  });
  await expect(stream.next()).rejects.toThrow(errorWithCode('FORBIDDEN', { reason: 'KICKED' }));
});

test('a removal that commits while subscribing ends the stream; an earlier one does not', async () => {
  const core = await createTestCore();
  await transact(core, async (unit) => unit.emit(createParticipantKicked(7)));
  const stream = await openTyping(core);
  publish(core, createTyping(1));
  expect(await readItems(stream, 1)).toHaveLength(1);
  const removedStream = await openTyping(core, {
    authorize: () => transact(core, async (unit) => unit.emit(createParticipantKicked(7))),
  });
  await expect(removedStream.next()).rejects.toThrow(errorWithCode('FORBIDDEN', { reason: 'KICKED' }));
});

test('after events were trimmed unread, authorisation is checked again', async () => {
  const core = await createTestCore();
  let allowed = true;
  const authorize = async () => {
    if (!allowed) throw notFound('The conversation');
  };
  const stream = await openTyping(core, { authorize });
  await emitEvents(createNode(core), ...range(1, 10));
  await keepNewest(core.db, 1);
  allowed = false;
  const next = stream.next();
  await core.tails.compare();
  await expect(next).rejects.toThrow(errorWithCode('NOT_FOUND'));
});

test('access is checked, and the first items are read, once notices of a topic of their own arrive from other nodes', async () => {
  const core = await createTestCore();
  const followed = Promise.withResolvers<void>();
  const itemTopic: Topic = 'media:1';
  const whenFollowed = (topic: Topic) => (topic === itemTopic ? followed.promise : undefined);
  const authorize = vi.fn(async () => {});
  const opening = openTyping({ ...core, tails: { ...core.tails, whenFollowed } }, { itemTopic, authorize });
  // Another stream opens meanwhile.
  await openTyping(core);
  expect(authorize).not.toHaveBeenCalled();
  followed.resolve();
  await opening;
  expect(authorize).toHaveBeenCalledOnce();
});

test('an unauthorised actor gets no stream, and nothing stays open', async () => {
  const core = await createTestCore();
  await expect(openTyping(core, { authorize: () => Promise.reject(notFound('It')) })).rejects.toThrow(
    errorWithCode('NOT_FOUND'),
  );
  await expect(openTyping(core, { topic: 'conversation:2' })).rejects.toThrow(errorWithCode('NOT_FOUND'));
  await expect(openTyping(core, { onAuthorized: () => Promise.reject(new Error('no')) })).rejects.toThrow(
    'no',
  );
  expect([...core.bus.topics()]).toEqual([]);
});

test('a stream ends with the reason of the server, or without one when the client has disconnected', async () => {
  const core = await createTestCore();
  const serverController = new AbortController();
  const stream = await openTyping(core, { signal: serverController.signal });
  publish(core, createTyping(1));
  serverController.abort('DRAINING');
  await expect(stream.next()).rejects.toThrow(errorWithCode('UNAVAILABLE', { reason: 'DRAINING' }));
  const clientController = new AbortController();
  const closedStream = await openTyping(core, { signal: clientController.signal });
  const next = closedStream.next();
  clientController.abort();
  expect(await next).toEqual({ done: true, value: undefined });
  expect([...core.bus.topics()]).toEqual([]);
});

test('resources acquired at the start of a stream are released once, regardless of how it ends', async () => {
  const core = await createTestCore();
  const release = vi.fn();
  const onAuthorized = async () => ({ release });
  const returnedStream = await openTyping(core, { onAuthorized });
  await returnedStream.return();
  await returnedStream.return();
  expect(release).toHaveBeenCalledTimes(1);
  const controller = new AbortController();
  await openTyping(core, {
    signal: controller.signal,
    async onAuthorized() {
      controller.abort();
      return { release };
    },
  });
  expect(release).toHaveBeenCalledTimes(2);
  const kickedStream = await openTyping(core, { onAuthorized });
  await transact(core, async (unit) => unit.emit(createParticipantKicked(7)));
  await expect(kickedStream.next()).rejects.toThrow('KICKED');
  expect(release).toHaveBeenCalledTimes(3);
});
