import { expect, test } from 'vitest';
import { revoke } from '../../src/db/sessions.ts';
import { createBatchedReads } from '../../src/db/batched-reads.ts';
import { conversationTopic } from '../../src/events/event.ts';
import type { ConversationId, DeviceId, UserId } from '../../src/ids.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createConversation,
  createDevice,
  createUsers,
  createSession,
} from '../harness/domain-fixtures.ts';
import { countStatements } from '../harness/statements.ts';
import type { ActorRef } from '../../src/actor.ts';
import { indexes } from '../harness/numbers.ts';
import { createLink } from '../harness/event-core.ts';

/** Returns the items a hundred times, in turn. */
const repeat = <Item>(...items: readonly Item[]): Item[] => indexes(100).flatMap(() => items);

/** Creates a circle with a device and a conversation of two of its three members. */
async function seedConversation() {
  const deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const circle = await createCircle(deps, ann, bob, eve);
  const device = await createDevice(deps, circle, ann);
  const conversation = await createConversation(deps, circle, ann, bob);
  const statements = countStatements(deps.db);
  return {
    ...deps,
    ann,
    bob,
    eve,
    device,
    conversation,
    statements,
    batchedReads: createBatchedReads(statements.db),
  };
}

test('concurrent token checks take one statement, and each receives its own result', async () => {
  await using deps = await seedConversation();
  const expiresAt = new Date(Date.now() + 60_000).toISOString();
  await deps.db.transaction().execute((tx) => revoke(tx, 'revoked', expiresAt));
  const unknownUser: ActorRef = { kind: 'user', id: 999 as UserId };
  const unknownDevice: ActorRef = { kind: 'device', id: 999 as DeviceId };
  const requests = repeat(
    createSession(deps.ann.actor),
    { ...createSession(deps.bob.actor), tokenId: 'revoked' },
    createSession(unknownUser),
    createSession(deps.device),
    createSession(unknownDevice),
  );
  const results = await Promise.all(requests.map((token) => deps.batchedReads.isActive(token)));
  expect(results).toEqual(repeat(true, false, false, true, false));
  expect(deps.statements.count).toBeLessThan(5);
});

test('concurrent access checks take one statement, and each receives its own result', async () => {
  await using deps = await seedConversation();
  const unknownConversation = 999 as ConversationId;
  const requests = repeat<[ActorRef, ConversationId]>(
    [deps.ann.actor, deps.conversation.id],
    [deps.eve.actor, deps.conversation.id],
    [deps.device, deps.conversation.id],
    [deps.ann.actor, unknownConversation],
  );
  const results = await Promise.all(requests.map((request) => deps.batchedReads.hasAccess(...request)));
  expect(results).toEqual(repeat(true, false, false, false));
  expect(deps.statements.count).toBeLessThan(5);
  await deps.db.updateTable('conversations').set({ deviceAccess: true }).execute();
  expect(await deps.batchedReads.hasAccess(deps.device, deps.conversation.id)).toBe(true);
});

test('concurrent reads of log ranges take one statement', async () => {
  await using deps = await seedConversation();
  const topics = repeat(conversationTopic(deps.conversation.id), 'conversation:999');
  const ranges = await Promise.all(topics.map((topic) => deps.batchedReads.readRange(topic)));
  expect(ranges.slice(0, 2)).toEqual([{ head: expect.any(Number) as number, trimmed: 0 }, undefined]);
  expect(new Set(ranges.map((range) => range?.head)).size).toBe(2);
  expect(deps.statements.count).toBeLessThan(5);
});

test('concurrent leases get ascending ids in the order of the calls, and each account comes online once', async () => {
  await using deps = await seedConversation();
  const publishedTypes: string[] = [];
  deps.bus.connect(
    createLink((notices) => {
      for (const notice of notices)
        if (notice.kind === 'ephemeral') publishedTypes.push(notice.ephemeral.type);
    }),
  );
  const leases = await Promise.all(
    repeat(deps.ann.actor, deps.bob.actor).map((actor) => deps.presence.open('legacy', actor)),
  );
  const ids = leases.map(({ leaseId }) => leaseId);
  expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  expect(new Set(ids).size).toBe(200);
  expect(await deps.presence.newestLegacyLease(deps.bob.actor)).toBe(ids.at(-1));
  expect(publishedTypes).toEqual(['presence', 'presence']);
});
