import { expect, test } from 'vitest';
import * as circles from '../../src/domain/circles.ts';
import * as conversations from '../../src/domain/conversations.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { openTyping } from '../../src/domain/typing.ts';
import { accountTopic, conversationTopic } from '../../src/events/event.ts';
import type { Circle, ConversationRole } from '../../src/db/tables.ts';
import type { CircleId, ConversationId, ParticipantId } from '../../src/ids.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createConversation,
  createDevice,
  readEvents,
  readEventTypes,
  readOutcomes,
  createUser,
  createUsers,
  readToEnd,
  readErrorCode,
  createSession,
} from '../harness/domain-fixtures.ts';
import type { TestUser } from '../harness/domain-fixtures.ts';

const UNKNOWN_CONVERSATION = 999_999 as ConversationId;

const readRoles = async (deps: Deps, id: ConversationId): Promise<[number, ConversationRole][]> => {
  const found = (await conversations.findParticipantsByConversations(deps, [id])).get(id) ?? [];
  return found.map(({ userId, role }) => [userId, role]);
};

/** Creates a circle with three members. */
async function seedCircle(
  deps: Deps,
): Promise<{ ann: TestUser; bob: TestUser; eve: TestUser; circle: Circle }> {
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  return { ann, bob, eve, circle: await createCircle(deps, ann, bob, eve) };
}

const exists = async (deps: Deps, id: ConversationId) =>
  (await conversations.findConversationsById(deps, [id])).has(id);

test('a conversation starts with its creator as admin and the invited members', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, circle } = await seedCircle(deps);
  const conversation = await conversations.createConversation(deps, bob.actor, {
    circleId: circle.id,
    name: 'Plans',
    emails: ['EVE@example.com', ann.email, ` ${eve.email}`, bob.email],
  });
  expect(conversation).toMatchObject({ circleId: circle.id, name: 'Plans', deviceAccess: false });
  expect(await readRoles(deps, conversation.id)).toEqual([
    [bob.user.id, 'ADMIN'],
    [eve.user.id, 'STANDARD'],
    [ann.user.id, 'STANDARD'],
  ]);
  expect(await readEvents(deps, conversationTopic(conversation.id))).toMatchObject([
    { type: 'participant.joined', user: bob.user, participant: { role: 'ADMIN' } },
    { type: 'participant.joined', user: eve.user, participant: { role: 'STANDARD' } },
    { type: 'participant.joined', user: ann.user, participant: { role: 'STANDARD' } },
  ]);
  for (const { actor, user } of [eve, ann]) {
    const inbox = await readEvents(deps, accountTopic(actor));
    expect(inbox.at(-1)).toEqual({ type: 'conversation.invited', userId: user.id, conversation });
    expect(inbox.filter(({ type }) => type === 'conversation.invited')).toHaveLength(1);
  }
  expect(await readEventTypes(deps, accountTopic(bob.actor))).toEqual(['circle.invited']);
});

test('a conversation may start with its creator only', async () => {
  await using deps = await createTestDeps();
  const { ann, circle } = await seedCircle(deps);
  const { id } = await createConversation(deps, circle, ann);
  expect(await readRoles(deps, id)).toEqual([[ann.user.id, 'ADMIN']]);
});

test('only members of the circle can create a conversation, with other members', async () => {
  await using deps = await createTestDeps();
  const { ann, circle } = await seedCircle(deps);
  const joe = await createUser(deps, 'joe');
  const device = await createDevice(deps, circle, ann);
  const create = (actor: TestUser['actor'] | typeof device, emails: string[], circleId = circle.id) =>
    readErrorCode(conversations.createConversation(deps, actor, { circleId, name: 'Plans', emails }));
  expect(await create(joe.actor, [])).toBe('NOT_FOUND');
  expect(await create(ann.actor, [], 77 as CircleId)).toBe('NOT_FOUND');
  expect(await create(device, [])).toBe('FORBIDDEN');
  expect(await create(ann.actor, [joe.email])).toBe('NOT_FOUND');
  expect(await create(ann.actor, ['bob@example.com', 'nobody@example.com'])).toBe('NOT_FOUND');
  expect(await create(ann.actor, ['bob'])).toBe('INVALID_INPUT');
  expect(
    await create(
      ann.actor,
      Array.from({ length: 501 }, () => 'bob@example.com'),
    ),
  ).toBe('INVALID_INPUT');
  expect(await deps.db.selectFrom('conversations').select('id').execute()).toEqual([]);
});

test('a conversation is NOT_FOUND for everyone but its participants', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, circle } = await seedCircle(deps);
  const device = await createDevice(deps, circle, ann);
  const conversation = await createConversation(deps, circle, ann, bob);
  for (const { actor } of [ann, bob]) {
    expect(await conversations.requireConversation(deps, actor, conversation.id)).toEqual(conversation);
  }
  for (const id of [conversation.id, UNKNOWN_CONVERSATION]) {
    const input = { conversationId: id };
    const attempts = [eve.actor, device].flatMap((actor) => [
      conversations.requireConversation(deps, actor, id),
      conversations.updateConversation(deps, actor, { ...input, name: 'Mine' }),
      conversations.inviteToConversation(deps, actor, { ...input, email: eve.email }),
      conversations.leaveConversation(deps, actor, input),
      conversations.kickFromConversation(deps, actor, { ...input, email: bob.email }),
      conversations.promoteInConversation(deps, actor, { ...input, email: bob.email }),
      conversations.setDeviceAccess(deps, actor, { ...input, allowed: true }),
      conversations.setDeviceAccess(deps, actor, { ...input, allowed: false }),
      conversations.openConversationEvents(deps, createSession(actor), { ...input, after: null }),
    ]);
    expect(new Set(await readOutcomes(attempts))).toEqual(new Set(['NOT_FOUND']));
  }
});

test('access includes the participant and its role', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, circle } = await seedCircle(deps);
  const device = await createDevice(deps, circle, ann);
  const { id } = await createConversation(deps, circle, ann, bob);
  const conversation = await conversations.setDeviceAccess(deps, ann.actor, {
    conversationId: id,
    allowed: true,
  });
  const [annParticipant, bobParticipant] =
    (await conversations.findParticipantsByConversations(deps, [id])).get(id) ?? [];
  expect(await conversations.requireConversationAccess(deps.db, bob.actor, id)).toEqual({
    conversation,
    participant: bobParticipant,
  });
  expect(await conversations.requireConversationAccess(deps.db, ann.actor, id)).toEqual({
    conversation,
    participant: annParticipant,
  });
  expect(await conversations.requireConversationAccess(deps.db, device, id)).toEqual({
    conversation,
    participant: null,
  });
});

test('an admin can rename the conversation', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, circle } = await seedCircle(deps);
  const { id } = await createConversation(deps, circle, ann, bob);
  const rename = ({ actor }: TestUser, name: string) =>
    conversations.updateConversation(deps, actor, { conversationId: id, name });
  expect(await readErrorCode(rename(bob, 'Mine'))).toBe('FORBIDDEN');
  expect(await readErrorCode(rename(ann, ' '))).toBe('INVALID_INPUT');
  const conversation = await rename(ann, 'Ours');
  expect(conversation.name).toBe('Ours');
  expect((await readEvents(deps, conversationTopic(id))).slice(2)).toEqual([
    { type: 'conversation.updated', conversation },
  ]);
});

test('any participant can invite a member of the circle, once', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, circle } = await seedCircle(deps);
  const joe = await createUser(deps, 'joe');
  const conversation = await createConversation(deps, circle, ann, bob);
  const invite = (email: string) =>
    conversations.inviteToConversation(deps, bob.actor, { conversationId: conversation.id, email });
  expect(await readErrorCode(invite(joe.email))).toBe('NOT_FOUND');
  expect(await readErrorCode(invite('nobody@example.com'))).toBe('NOT_FOUND');
  expect(await readErrorCode(invite(bob.email))).toBe('CONFLICT');
  expect(await invite(eve.email.toUpperCase())).toEqual(conversation);
  expect(await readErrorCode(invite(eve.email))).toBe('CONFLICT');
  expect((await readEvents(deps, conversationTopic(conversation.id))).slice(2)).toMatchObject([
    { type: 'participant.joined', user: eve.user, participant: { role: 'STANDARD', userId: eve.user.id } },
  ]);
  expect((await readEvents(deps, accountTopic(eve.actor))).at(-1)).toEqual({
    type: 'conversation.invited',
    userId: eve.user.id,
    conversation,
  });
});

test('of several concurrent invitations of one member, one succeeds', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, circle } = await seedCircle(deps);
  const { id } = await createConversation(deps, circle, ann, bob);
  const invite = ({ actor }: TestUser) =>
    conversations.inviteToConversation(deps, actor, { conversationId: id, email: eve.email });
  expect((await readOutcomes([invite(ann), invite(bob), invite(ann)])).sort()).toEqual([
    'CONFLICT',
    'CONFLICT',
    'done',
  ]);
  expect((await readEventTypes(deps, conversationTopic(id))).slice(2)).toEqual(['participant.joined']);
});

test('a device with access can read and write, but not administrate', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, circle } = await seedCircle(deps);
  const device = await createDevice(deps, circle, ann);
  const { id } = await createConversation(deps, circle, ann, bob);
  const input = { conversationId: id };
  await conversations.setDeviceAccess(deps, ann.actor, { ...input, allowed: true });
  expect((await conversations.requireConversation(deps, device, id)).deviceAccess).toBe(true);
  const attempts = [
    conversations.updateConversation(deps, device, { ...input, name: 'Mine' }),
    conversations.inviteToConversation(deps, device, { ...input, email: bob.email }),
    conversations.leaveConversation(deps, device, input),
    conversations.kickFromConversation(deps, device, { ...input, email: bob.email }),
    conversations.promoteInConversation(deps, device, { ...input, email: bob.email }),
    conversations.setDeviceAccess(deps, device, { ...input, allowed: true }),
  ];
  expect(new Set(await readOutcomes(attempts))).toEqual(new Set(['FORBIDDEN']));
});

test('an admin can grant the device access, and the device can give it up', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, circle } = await seedCircle(deps);
  const device = await createDevice(deps, circle, ann);
  const { id } = await createConversation(deps, circle, ann, bob);
  const set = (actor: TestUser['actor'] | typeof device, allowed: boolean) =>
    conversations.setDeviceAccess(deps, actor, { conversationId: id, allowed });
  expect(await readErrorCode(set(bob.actor, true))).toBe('FORBIDDEN');
  expect((await set(ann.actor, true)).deviceAccess).toBe(true);
  expect((await set(ann.actor, true)).deviceAccess).toBe(true);
  const stream = await conversations.openConversationEvents(deps, createSession(device), {
    conversationId: id,
    after: null,
  });
  const result = readToEnd(stream);
  const conversation = await set(device, false);
  expect(conversation.deviceAccess).toBe(false);
  expect(await result).toEqual({
    events: [{ type: 'device-access.changed', conversation, allowed: false, removed: false }],
    error: expect.objectContaining({ code: 'FORBIDDEN', details: { reason: 'ACCESS_REMOVED' } }),
  });
  expect(await readErrorCode(set(device, false))).toBe('NOT_FOUND');
  expect((await readEvents(deps, conversationTopic(id))).slice(2)).toMatchObject([
    { type: 'device-access.changed', allowed: true },
    { type: 'device-access.changed', allowed: false },
  ]);
});

test('a conversation continues with two participants after another one leaves', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, circle } = await seedCircle(deps);
  const conversation = await createConversation(deps, circle, ann, bob, eve);
  const input = { conversationId: conversation.id };
  const result = readToEnd(
    await conversations.openConversationEvents(deps, createSession(eve.actor), { ...input, after: null }),
  );
  expect(await conversations.leaveConversation(deps, eve.actor, input)).toEqual(conversation);
  expect(await result).toMatchObject({
    events: [{ type: 'participant.left', user: eve.user, participant: { role: 'STANDARD' } }],
    error: { code: 'FORBIDDEN', details: { reason: 'LEFT' } },
  });
  expect(await readRoles(deps, conversation.id)).toEqual([
    [ann.user.id, 'ADMIN'],
    [bob.user.id, 'STANDARD'],
  ]);
  expect(await readErrorCode(conversations.leaveConversation(deps, eve.actor, input))).toBe('NOT_FOUND');
});

test('when the admin leaves, the oldest participant becomes admin without an event', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, circle } = await seedCircle(deps);
  const { id } = await createConversation(deps, circle, ann, eve, bob);
  await conversations.leaveConversation(deps, ann.actor, { conversationId: id });
  expect(await readRoles(deps, id)).toEqual([
    [eve.user.id, 'ADMIN'],
    [bob.user.id, 'STANDARD'],
  ]);
  expect((await readEventTypes(deps, conversationTopic(id))).slice(3)).toEqual(['participant.left']);
});

test('after a promotion, the roles do not change when another participant leaves', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, circle } = await seedCircle(deps);
  const { id } = await createConversation(deps, circle, ann, bob, eve);
  await conversations.promoteInConversation(deps, ann.actor, { conversationId: id, email: eve.email });
  await conversations.leaveConversation(deps, bob.actor, { conversationId: id });
  expect(await readRoles(deps, id)).toEqual([
    [ann.user.id, 'STANDARD'],
    [eve.user.id, 'ADMIN'],
  ]);
});

test('a conversation of one participant is deleted, unless the device has access', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, circle } = await seedCircle(deps);
  await createDevice(deps, circle, ann);
  const withoutDevice = await createConversation(deps, circle, ann, bob);
  const conversation = await createConversation(deps, circle, ann, bob);
  const withDevice = await conversations.setDeviceAccess(deps, ann.actor, {
    conversationId: conversation.id,
    allowed: true,
  });
  const leave = ({ actor }: TestUser, { id }: { id: ConversationId }) =>
    conversations.leaveConversation(deps, actor, { conversationId: id });

  expect(await leave(bob, withoutDevice)).toEqual(withoutDevice);
  expect((await readEvents(deps, conversationTopic(withoutDevice.id))).slice(2)).toMatchObject([
    { type: 'participant.left', user: bob.user },
    { type: 'conversation.deleted', conversation: { ...withoutDevice, name: '' } },
  ]);
  expect(await exists(deps, withoutDevice.id)).toBe(false);

  await leave(ann, withDevice);
  expect(await readRoles(deps, withDevice.id)).toEqual([[bob.user.id, 'ADMIN']]);
  await leave(bob, withDevice);
  expect((await readEvents(deps, conversationTopic(withDevice.id))).slice(3)).toMatchObject([
    { type: 'participant.left', user: ann.user },
    { type: 'participant.left', user: bob.user },
    { type: 'conversation.deleted', conversation: { ...withDevice, name: '' } },
  ]);
  expect(await exists(deps, withDevice.id)).toBe(false);
});

test('when both participants leave concurrently, the conversation is deleted once', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, circle } = await seedCircle(deps);
  for (let round = 0; round < 8; round += 1) {
    const { id } = await createConversation(deps, circle, ann, bob);
    const leave = ({ actor }: TestUser) =>
      conversations.leaveConversation(deps, actor, { conversationId: id });
    const results = await readOutcomes(round % 2 === 0 ? [leave(ann), leave(bob)] : [leave(bob), leave(ann)]);
    expect(results.sort()).toEqual(['NOT_FOUND', 'done']);
    expect((await readEventTypes(deps, conversationTopic(id))).slice(2)).toEqual([
      'participant.left',
      'conversation.deleted',
    ]);
  }
});

test('an admin kicks a participant, and the two-participant rule holds', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, circle } = await seedCircle(deps);
  const conversation = await createConversation(deps, circle, ann, bob, eve);
  const kick = ({ actor }: TestUser, email: string) =>
    conversations.kickFromConversation(deps, actor, { conversationId: conversation.id, email });
  expect(await readErrorCode(kick(bob, eve.email))).toBe('FORBIDDEN');
  expect(await readErrorCode(kick(ann, ann.email))).toBe('FORBIDDEN');
  expect(await readErrorCode(kick(ann, 'nobody@example.com'))).toBe('NOT_FOUND');
  const input = { conversationId: conversation.id, after: null };
  const result = readToEnd(await conversations.openConversationEvents(deps, createSession(eve.actor), input));
  expect(await kick(ann, 'Eve@Example.com')).toEqual(conversation);
  expect(await result).toMatchObject({
    events: [{ type: 'participant.kicked', user: eve.user, by: ann.user }],
    error: { code: 'FORBIDDEN', details: { reason: 'KICKED' } },
  });
  expect(await readErrorCode(kick(ann, eve.email))).toBe('NOT_FOUND');
  expect(await circles.findCirclesByActor(deps, eve.actor)).toHaveLength(1);

  await kick(ann, bob.email);
  expect((await readEventTypes(deps, conversationTopic(conversation.id))).slice(3)).toEqual([
    'participant.kicked',
    'participant.kicked',
    'conversation.deleted',
  ]);
  expect(await exists(deps, conversation.id)).toBe(false);
});

test('a concurrent kick and leave publish one event', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, circle } = await seedCircle(deps);
  const { id } = await createConversation(deps, circle, ann, bob, eve);
  const results = await readOutcomes([
    conversations.kickFromConversation(deps, ann.actor, { conversationId: id, email: eve.email }),
    conversations.leaveConversation(deps, eve.actor, { conversationId: id }),
  ]);
  expect(results.sort()).toEqual(['NOT_FOUND', 'done']);
  expect((await readEventTypes(deps, conversationTopic(id))).slice(3)).toHaveLength(1);
});

test('promoting swaps the roles, and publishes to the conversation and the promoted user', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, circle } = await seedCircle(deps);
  const conversation = await createConversation(deps, circle, ann, bob);
  const promote = ({ actor }: TestUser, email: string) =>
    conversations.promoteInConversation(deps, actor, { conversationId: conversation.id, email });
  expect(await readErrorCode(promote(bob, bob.email))).toBe('FORBIDDEN');
  expect(await readErrorCode(promote(ann, ann.email))).toBe('CONFLICT');
  expect(await readErrorCode(promote(ann, eve.email))).toBe('NOT_FOUND');
  expect(await promote(ann, bob.email)).toEqual(conversation);
  expect(await readRoles(deps, conversation.id)).toEqual([
    [ann.user.id, 'STANDARD'],
    [bob.user.id, 'ADMIN'],
  ]);
  expect((await readEvents(deps, conversationTopic(conversation.id))).slice(2)).toMatchObject([
    { type: 'participant.promoted', user: bob.user, participant: { role: 'ADMIN' } },
  ]);
  expect((await readEvents(deps, accountTopic(bob.actor))).at(-1)).toEqual({
    type: 'conversation.promoted',
    userId: bob.user.id,
    conversation,
  });
  expect(await readErrorCode(promote(ann, bob.email))).toBe('FORBIDDEN');
});

test('of two concurrent promotions by one admin, the second is rejected', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, circle } = await seedCircle(deps);
  const { id } = await createConversation(deps, circle, ann, bob, eve);
  const promote = (email: string) =>
    conversations.promoteInConversation(deps, ann.actor, { conversationId: id, email });
  expect((await readOutcomes([promote(bob.email), promote(eve.email)])).sort()).toEqual([
    'FORBIDDEN',
    'done',
  ]);
  expect((await readRoles(deps, id)).filter(([, role]) => role === 'ADMIN')).toHaveLength(1);
});

test('conversations are listed per circle, for participants only', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, circle } = await seedCircle(deps);
  const otherCircle = await createCircle(deps, bob);
  const device = await createDevice(deps, circle, ann);
  const [first, second] = [
    await createConversation(deps, circle, ann, bob),
    await createConversation(deps, circle, bob, eve),
  ];
  const third = await createConversation(deps, otherCircle, bob);
  const conversationWithDevice = await conversations.setDeviceAccess(deps, bob.actor, {
    conversationId: second.id,
    allowed: true,
  });
  const ids = [circle.id, otherCircle.id, 77 as CircleId];
  const listConversations = async (actor: TestUser['actor'] | typeof device) => [
    ...(await conversations.findConversationsByCircles(deps, actor, ids)).values(),
  ];
  expect(await listConversations(bob.actor)).toEqual([[first, conversationWithDevice], [third], []]);
  expect(await listConversations(ann.actor)).toEqual([[first], [], []]);
  expect(await listConversations(device)).toEqual([[conversationWithDevice], [], []]);
  expect(await conversations.findConversationsByCircles(deps, bob.actor, [])).toEqual(new Map());
  expect(await conversations.findConversationsById(deps, [third.id, UNKNOWN_CONVERSATION, first.id])).toEqual(
    new Map([
      [first.id, first],
      [third.id, third],
    ]),
  );
});

test('participants are found by id, and visible to participants only', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, circle } = await seedCircle(deps);
  const { id } = await createConversation(deps, circle, ann, bob);
  const [first, second] = (await conversations.findParticipantsByConversations(deps, [id])).get(id) ?? [];
  if (first === undefined || second === undefined) throw new Error('no participants');
  const ids = [second.id, 99 as ParticipantId, first.id];
  expect(await conversations.findParticipantsById(deps, ids)).toEqual(
    new Map([
      [first.id, first],
      [second.id, second],
    ]),
  );
  expect(await conversations.requireParticipant(deps, bob.actor, first.id)).toEqual(first);
  expect(await readErrorCode(conversations.requireParticipant(deps, eve.actor, first.id))).toBe('NOT_FOUND');
  expect(await readErrorCode(conversations.requireParticipant(deps, ann.actor, 99 as ParticipantId))).toBe(
    'NOT_FOUND',
  );
});

test('a participant receives typing until it is kicked', async () => {
  await using deps = await createTestDeps();
  const { ann, bob, eve, circle } = await seedCircle(deps);
  const { id } = await createConversation(deps, circle, ann, bob, eve);
  const topic = conversationTopic(id);
  const input = { conversationId: id };
  const typing = await openTyping(deps, createSession(bob.actor), input, undefined);
  const actor = { kind: 'user', user: ann.user, online: true } as const;
  const publish = (isTyping: boolean) =>
    deps.bus.publish([{ kind: 'ephemeral', ephemeral: { type: 'typing', topic, actor, isTyping } }]);
  publish(true);
  expect(await typing.next()).toEqual({ done: false, value: { actor, isTyping: true } });
  publish(true);
  publish(false);
  expect(await typing.next()).toEqual({ done: false, value: { actor, isTyping: false } });
  await conversations.kickFromConversation(deps, ann.actor, { ...input, email: bob.email });
  await expect(typing.next()).rejects.toMatchObject({ details: { reason: 'KICKED' } });
  expect(await readErrorCode(openTyping(deps, createSession(bob.actor), input, undefined))).toBe('NOT_FOUND');
});
