import { sql } from 'kysely';
import { describe, expect, inject, test, vi } from 'vitest';
import * as conversations from '../../src/domain/conversations.ts';
import type { Deps } from '../../src/domain/deps.ts';
import * as messages from '../../src/domain/messages.ts';
import { createReadMarker } from '../../src/domain/read-marker.ts';
import { accountTopic, conversationTopic } from '../../src/events/event.ts';
import type { MessageId } from '../../src/ids.ts';
import { openTestDatabase } from '../harness/database.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createConversation,
  createUsers,
  readEventTypes,
  readOutcomes,
} from '../harness/domain-fixtures.ts';
import { countLockWaits, lockRows } from '../harness/lock-rows.ts';
import { indexes } from '../harness/numbers.ts';

async function seed(deps: Deps) {
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const circle = await createCircle(deps, ann, bob);
  const { id: conversationId } = await createConversation(deps, circle, ann, bob);
  const send = async (): Promise<MessageId> => {
    const { message } = await messages.sendMessage(deps, ann.actor, { conversationId, text: 'hello' });
    return message.id;
  };
  const mark = (messageId: MessageId) =>
    deps.readMarker.mark({ actor: bob.actor, conversationId, messageId });
  return { ann, bob, conversationId, send, mark };
}

test('marks beyond 10,000 that are queued are refused', async () => {
  const refused: string[] = [];
  await using deps = await createTestDeps();
  const { bob, conversationId, send } = await seed(deps);
  const messageId = await send();
  const marker = createReadMarker({ ...deps, reportRefusal: (limit) => void refused.push(limit) });
  const marks = indexes(10_002).map(() => marker.mark({ actor: bob.actor, conversationId, messageId }));
  const outcomes = await readOutcomes(marks);
  expect(outcomes.slice(0, 10_000).every((outcome) => outcome === 'done')).toBe(true);
  expect(outcomes.slice(10_000)).toEqual(['RATE_LIMITED', 'RATE_LIMITED']);
  expect(refused).toEqual(['queued writes', 'queued writes']);
  await expect(marker.mark({ actor: bob.actor, conversationId, messageId })).resolves.toBeDefined();
});

test('a mark does not wait for a clock that was set back', async () => {
  await using deps = await createTestDeps();
  const { bob, send, mark } = await seed(deps);
  await mark(await send());
  await sql`update participants set last_read_at = clock_timestamp() + interval '1 hour'`.execute(deps.db);
  await mark(await send());
  expect(await readEventTypes(deps, accountTopic(bob.actor))).toEqual([
    'circle.invited',
    'conversation.invited',
    'read-state.changed',
    'read-state.changed',
  ]);
});

describe.skipIf(inject('database') !== 'postgres')('locks', () => {
  test('a mark does not wait for the lock of the conversation', async () => {
    const { url = '' } = await openTestDatabase();
    await using deps = await createTestDeps();
    const { conversationId, send, mark } = await seed(deps);
    const messageId = await send();
    await using _ = await lockRows(
      url,
      `select from topics where topic = '${conversationTopic(conversationId)}' for update`,
    );
    await expect(mark(messageId)).resolves.toMatchObject({ id: conversationId });
  });

  test('a promotion locks the topic of the participant before its row, as a mark does', async () => {
    const { url = '' } = await openTestDatabase();
    await using deps = await createTestDeps();
    const { ann, bob, conversationId } = await seed(deps);
    const topic = accountTopic(bob.actor);
    await using lock = await lockRows(url, `select from topics where topic = '${topic}' for update`);
    const promoted = conversations.promoteInConversation(deps, ann.actor, {
      conversationId,
      email: bob.email,
    });
    await vi.waitFor(async () => expect(await countLockWaits(deps.db)).toBe(1));
    const { rows } = await sql`
      select from participants where user_id = ${bob.user.id} for update skip locked
    `.execute(deps.db);
    expect(rows).toHaveLength(1);
    await lock.release();
    await promoted;
  });
});
