import { expect, test } from 'vitest';
import * as conversations from '../../src/db/conversations.ts';
import { findConversationAccess } from '../../src/db/conversation-access.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createConversation,
  createDevice,
  createUser,
  createUsers,
} from '../harness/domain-fixtures.ts';

test('conversations with fewer than two participants are removed; a device with access counts as one', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const circle = await createCircle(deps, ann, bob);
  const [two, one, oneAndDevice, none] = [
    await createConversation(deps, circle, ann, bob),
    await createConversation(deps, circle, ann),
    await createConversation(deps, circle, ann),
    await createConversation(deps, circle, bob),
  ];
  const otherConversation = await createConversation(deps, circle, ann);
  await deps.db.transaction().execute(async (tx) => {
    await conversations.setDeviceAccess(tx, oneAndDevice.id, true);
    await conversations.setDeviceAccess(tx, none.id, true);
    await conversations.removeParticipants(tx, bob.user.id, [none.id]);
    const ids = [two.id, one.id, oneAndDevice.id, none.id];
    const removed = await conversations.removeWithFewerThanTwoParticipants(tx, ids);
    expect(new Set(removed.map(({ id }) => id))).toEqual(new Set([one.id, none.id]));
    const remaining = await conversations.findByIds(tx, [...ids, otherConversation.id]);
    expect(new Set(remaining.map(({ id }) => id))).toEqual(
      new Set([two.id, oneAndDevice.id, otherConversation.id]),
    );
    expect(await conversations.removeWithFewerThanTwoParticipants(tx, [])).toEqual([]);
  });
});

test('the oldest participant is promoted in conversations without an admin only', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const circle = await createCircle(deps, ann, bob, eve);
  const ids = [
    (await createConversation(deps, circle, ann, bob, eve)).id,
    (await createConversation(deps, circle, bob, ann, eve)).id,
    (await createConversation(deps, circle, ann, eve, bob)).id,
  ];
  await deps.db.transaction().execute(async (tx) => {
    const removed = await conversations.removeParticipants(tx, ann.user.id, ids);
    expect(removed.map(({ conversationId, role }) => [conversationId, role])).toEqual([
      [ids[0], 'ADMIN'],
      [ids[1], 'STANDARD'],
      [ids[2], 'ADMIN'],
    ]);
    await conversations.ensureAdmins(tx, ids);
    const remaining = await conversations.findParticipantsByConversations(tx, ids);
    const admins = remaining.filter(({ role }) => role === 'ADMIN');
    expect(admins.map(({ conversationId, userId }) => [conversationId, userId])).toEqual([
      [ids[0], bob.user.id],
      [ids[1], bob.user.id],
      [ids[2], eve.user.id],
    ]);
  });
});

test('an access has the same conversation and participant as their rows', async () => {
  await using deps = await createTestDeps();
  const ann = await createUser(deps, 'ann');
  const circle = await createCircle(deps, ann);
  const device = await createDevice(deps, circle, ann);
  const conversation = await createConversation(deps, circle, ann);
  const [participant] = await conversations.findParticipantsByConversations(deps.db, [conversation.id]);
  expect(await findConversationAccess(deps.db, ann.actor, conversation.id)).toEqual({
    conversation,
    participant,
  });
  expect(await findConversationAccess(deps.db, device, conversation.id)).toBeUndefined();
});
