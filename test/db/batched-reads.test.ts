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
  createUser,
  createSession,
} from '../harness/domain-fixtures.ts';
import { countStatements } from '../harness/statements.ts';
import type { ActorRef } from '../../src/actor.ts';
import { indexes } from '../harness/numbers.ts';

/** Repeats the items in turn. */
const often = <One>(...of: readonly One[]): One[] => indexes(100).flatMap(() => of);

async function scene() {
  const deps = await createTestDeps();
  const [ann, bob, eve] = [
    await createUser(deps, 'ann'),
    await createUser(deps, 'bob'),
    await createUser(deps, 'eve'),
  ];
  const circle = await createCircle(deps, ann, bob, eve);
  const device = await createDevice(deps, circle, ann);
  const talk = await createConversation(deps, circle, ann, bob);
  const counted = countStatements(deps.db);
  return { ...deps, ann, bob, eve, device, talk, counted, batchedReads: createBatchedReads(counted.db) };
}

test('concurrent token checks take one statement, and each receives its own result', async () => {
  await using deps = await scene();
  const expiresAt = new Date(Date.now() + 60_000).toISOString();
  await deps.db.transaction().execute((tx) => revoke(tx, 'revoked', expiresAt));
  const nobody: ActorRef = { kind: 'user', id: 999 as UserId };
  const noDevice: ActorRef = { kind: 'device', id: 999 as DeviceId };
  const asked = often(
    createSession(deps.ann.actor),
    { ...createSession(deps.bob.actor), tokenId: 'revoked' },
    createSession(nobody),
    createSession(deps.device),
    createSession(noDevice),
  );
  const answers = await Promise.all(asked.map((token) => deps.batchedReads.isActive(token)));
  expect(answers).toEqual(often(true, false, false, true, false));
  expect(deps.counted.count).toBeLessThan(5);
});

test('concurrent access checks take one statement, and each receives its own result', async () => {
  await using deps = await scene();
  const nowhere = 999 as ConversationId;
  const asked = often<[ActorRef, ConversationId]>(
    [deps.ann.actor, deps.talk.id],
    [deps.eve.actor, deps.talk.id],
    [deps.device, deps.talk.id],
    [deps.ann.actor, nowhere],
  );
  const answers = await Promise.all(asked.map((one) => deps.batchedReads.hasAccess(...one)));
  expect(answers).toEqual(often(true, false, false, false));
  expect(deps.counted.count).toBeLessThan(5);
  await deps.db.updateTable('conversations').set({ deviceAccess: true }).execute();
  expect(await deps.batchedReads.hasAccess(deps.device, deps.talk.id)).toBe(true);
});

test('concurrent reads of log ranges take one statement', async () => {
  await using deps = await scene();
  const topics = often(conversationTopic(deps.talk.id), 'conversation:999');
  const ranges = await Promise.all(topics.map((topic) => deps.batchedReads.readRange(topic)));
  expect(ranges.slice(0, 2)).toEqual([{ head: expect.any(Number) as number, trimmed: 0 }, undefined]);
  expect(new Set(ranges.map((one) => one?.head)).size).toBe(2);
  expect(deps.counted.count).toBeLessThan(5);
});

test('concurrent leases get ascending ids in the order of the calls, and each account comes online once', async () => {
  await using deps = await scene();
  const announced: string[] = [];
  deps.bus.connect({
    send: (notices) => {
      for (const notice of notices) if (notice.kind === 'ephemeral') announced.push(notice.ephemeral.type);
    },
  });
  const leases = await Promise.all(
    often(deps.ann.actor, deps.bob.actor).map((actor) => deps.presence.open('legacy', actor)),
  );
  const ids = leases.map(({ leaseId }) => leaseId);
  expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  expect(new Set(ids).size).toBe(200);
  expect(await deps.presence.newestLegacyLease(deps.bob.actor)).toBe(ids.at(-1));
  expect(announced).toEqual(['presence', 'presence']);
});
