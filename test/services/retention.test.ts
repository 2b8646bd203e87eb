import { sql } from 'kysely';
import { expect, test, vi } from 'vitest';
import { readRange } from '../../src/db/event-log.ts';
import { readAuditLog, runAudited } from '../../src/domain/audit-log.ts';
import type { Deps } from '../../src/domain/deps.ts';
import * as messages from '../../src/domain/messages.ts';
import { nodeClock } from '../../src/services/wall-clock.ts';
import { startRetention, sweep } from '../../src/services/retention.ts';
import { encodeCursor } from '../../src/events/cursor.ts';
import { conversationTopic } from '../../src/events/event.ts';
import { openStream } from '../../src/events/open-stream.ts';
import { createTestDeps } from '../harness/deps.ts';
import { createCircle, createConversation, createUsers } from '../harness/domain-fixtures.ts';
import { indexes } from '../harness/numbers.ts';

/** Creates a conversation of Ann and Bob. */
async function seedConversation(deps: Deps) {
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const { id: conversationId } = await createConversation(deps, await createCircle(deps, ann, bob), ann, bob);
  const topic = conversationTopic(conversationId);
  const send = (input: Partial<messages.SendInput> = {}) =>
    messages.sendMessage(deps, ann.actor, { conversationId, ...input });
  const openAfter = (seq: number) =>
    openStream(deps, {
      topic,
      actor: ann.actor,
      after: encodeCursor(deps.epoch.current, topic, seq),
      authorize: async () => {},
    });
  return { ann, topic, send, openAfter };
}

const withRetention = (deps: Deps, days: number, count: number) => ({
  ...deps,
  config: { ...deps.config, EVENT_RETENTION_DAYS: days, EVENT_RETENTION_COUNT: count },
});

const backdateEvents = (deps: Deps, topic: string, upTo: number, days: number) =>
  sql`update events set at = at - ${days} * interval '1 day' where topic = ${topic} and seq <= ${upTo}`.execute(
    deps.db,
  );

test('events beyond the retention are removed, and older cursors are CURSOR_EXPIRED', async () => {
  await using deps = await createTestDeps();
  const { topic, send, openAfter } = await seedConversation(deps);
  await Promise.all(indexes(30).map(() => send()));
  const { head = 0 } = (await readRange(deps.db, topic)) ?? {};
  await sweep(withRetention(deps, 7, 1_000));
  expect(await readRange(deps.db, topic)).toEqual({ head, trimmed: 0 });
  await backdateEvents(deps, topic, 10, 8);
  await sweep(withRetention(deps, 7, 1_000));
  expect(await readRange(deps.db, topic)).toEqual({ head, trimmed: 10 });
  // The count of a topic is looked at after further events.
  await Promise.all(indexes(20).map(() => send()));
  await sweep(withRetention(deps, 7, 5));
  const newHead = head + 20;
  expect(await readRange(deps.db, topic)).toEqual({ head: newHead, trimmed: newHead - 5 });
  const oldest = encodeCursor(deps.epoch.current, topic, newHead - 5);
  await expect(openAfter(newHead - 6)).rejects.toThrow(
    expect.objectContaining({ code: 'CURSOR_EXPIRED', details: { oldest } }) as Error,
  );
  await (await openAfter(newHead - 5)).return();
});

test('an emptied log continues its sequence', async () => {
  await using deps = await createTestDeps();
  const { topic, send } = await seedConversation(deps);
  await send();
  const { head = 0 } = (await readRange(deps.db, topic)) ?? {};
  await backdateEvents(deps, topic, head, 30);
  await sweep(withRetention(deps, 7, 1_000));
  expect(await readRange(deps.db, topic)).toEqual({ head, trimmed: head });
  await send();
  expect(await readRange(deps.db, topic)).toEqual({ head: head + 1, trimmed: head });
});

test('one sweep removes more than one batch', async () => {
  await using deps = await createTestDeps();
  const { topic, send } = await seedConversation(deps);
  await Promise.all(indexes(700).map((number) => send({ idempotencyKey: `key ${number}` })));
  await sql`update events set at = at - interval '8 days'`.execute(deps.db);
  await sql`update idempotency_keys set created_at = created_at - interval '8 days'`.execute(deps.db);
  await sweep(withRetention(deps, 7, 10_000));
  expect(await deps.db.selectFrom('events').select('seq').execute()).toEqual([]);
  expect(await deps.db.selectFrom('idempotencyKeys').select('key').execute()).toEqual([]);
  expect(await readRange(deps.db, topic)).toMatchObject({ trimmed: expect.any(Number) as number });
});

test('idempotency keys have the retention of events', async () => {
  await using deps = await createTestDeps();
  const { send } = await seedConversation(deps);
  const first = await send({ idempotencyKey: 'k' });
  await sql`update idempotency_keys set created_at = created_at - interval '6 days'`.execute(deps.db);
  await sweep(withRetention(deps, 7, 100));
  expect((await send({ idempotencyKey: 'k' })).message.id).toBe(first.message.id);
  await sql`update idempotency_keys set created_at = created_at - interval '2 days'`.execute(deps.db);
  await sweep(withRetention(deps, 7, 100));
  expect((await send({ idempotencyKey: 'k' })).message.id).not.toBe(first.message.id);
});

test('revocations are removed when their token has expired', async () => {
  await using deps = await createTestDeps();
  const tokens = [
    { tokenId: 'expired', expiresAt: new Date(Date.now() - 60_000).toISOString() },
    { tokenId: 'valid', expiresAt: new Date(Date.now() + 60_000).toISOString() },
  ];
  await deps.db.insertInto('revokedTokens').values(tokens).execute();
  await sweep(deps);
  expect(await deps.db.selectFrom('revokedTokens').select('tokenId').execute()).toEqual([
    { tokenId: 'valid' },
  ]);
});

test('a node whose clock is off does not sweep, and of the others one does', async () => {
  await using deps = await createTestDeps();
  const { topic, send } = await seedConversation(deps);
  await Promise.all(indexes(40).map(() => send()));
  const { head = 0 } = (await readRange(deps.db, topic)) ?? {};
  const dueAt = async () => (await sql`select due_at from sweeps`.execute(deps.db)).rows;
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  try {
    const options = withRetention(deps, 7, 3);
    {
      await using _off = startRetention({ ...options, clock: { isOff: true } });
      vi.advanceTimersByTime(61_000);
    }
    expect(await dueAt()).toEqual([]);
    expect(await readRange(deps.db, topic)).toEqual({ head, trimmed: 0 });
    {
      await using _first = startRetention({ ...options, clock: nodeClock });
      await using _second = startRetention({ ...options, clock: nodeClock });
      vi.advanceTimersByTime(61_000);
      await expect.poll(() => readRange(deps.db, topic)).toEqual({ head, trimmed: head - 3 });
    }
    const claimed = await dueAt();
    await using _third = startRetention({ ...options, clock: nodeClock });
    vi.advanceTimersByTime(61_000);
    await _third[Symbol.asyncDispose]();
    expect(await dueAt()).toEqual(claimed);
  } finally {
    vi.useRealTimers();
  }
});

test('while a node of the former version runs, which needs a record of removals, no other removes events', async () => {
  await using deps = await createTestDeps();
  const { topic, send } = await seedConversation(deps);
  await Promise.all(indexes(40).map(() => send()));
  const { head = 0 } = (await readRange(deps.db, topic)) ?? {};
  await sql`update events set at = at - interval '8 days' where seq <= 5`.execute(deps.db);
  await sql`insert into nodes (id) values ('former version')`.execute(deps.db);
  await sweep(withRetention(deps, 7, 3));
  expect(await readRange(deps.db, topic)).toEqual({ head, trimmed: 0 });
  await sql`update nodes set seen_at = seen_at - interval '1 minute' where id = 'former version'`.execute(
    deps.db,
  );
  await sweep(withRetention(deps, 7, 3));
  expect(await readRange(deps.db, topic)).toEqual({ head, trimmed: head - 3 });
});

test('retention runs in the background until disposed', async () => {
  await using deps = await createTestDeps();
  const { topic, send } = await seedConversation(deps);
  await Promise.all(indexes(40).map(() => send()));
  const { head = 0 } = (await readRange(deps.db, topic)) ?? {};
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  try {
    await using _retention = startRetention({ ...withRetention(deps, 7, 3), clock: nodeClock });
    vi.advanceTimersByTime(61_000);
    await expect.poll(() => readRange(deps.db, topic)).toEqual({ head, trimmed: head - 3 });
  } finally {
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  }
});

test('entries of the audit log are removed after 400 days', async () => {
  await using deps = await createTestDeps();
  const act = (name: string) =>
    runAudited(
      deps,
      { address: '192.0.2.1', nodeId: 'node-1', nodeName: null },
      { name, arguments: {} },
      async () => undefined,
    );
  for (const name of ['first', 'second', 'third']) await act(name);
  await sql`update audit_log set at = clock_timestamp() - interval '401 days' where action = 'first'`.execute(
    deps.db,
  );
  await sql`update audit_log set at = clock_timestamp() - interval '399 days' where action = 'second'`.execute(
    deps.db,
  );
  await sweep(deps);
  const { entries } = await readAuditLog(deps, { before: undefined, size: 10 });
  expect(entries.map(({ action }) => action)).toEqual(['third', 'second']);
});
