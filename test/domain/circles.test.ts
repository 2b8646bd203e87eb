import { expect, test } from 'vitest';
import type { CircleEvent } from '../../src/events/event.ts';
import * as circles from '../../src/domain/circles.ts';
import * as conversations from '../../src/domain/conversations.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { accountTopic, circleTopic, conversationTopic } from '../../src/events/event.ts';
import type { CircleId, InvitationId, MembershipId } from '../../src/ids.ts';
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

const UNKNOWN_CIRCLE = 999_999 as CircleId;

const readRoles = async (deps: Deps, id: CircleId) => {
  const members = (await circles.findMembershipsByCircles(deps, [id])).get(id) ?? [];
  return members.map(({ userId, role }) => [userId, role]);
};

const invite = (deps: Deps, inviter: TestUser, circleId: CircleId, invitee: TestUser) =>
  circles.inviteToCircle(deps, inviter.actor, { circleId, email: invitee.email });

test('the creator of a circle is its admin', async () => {
  await using deps = await createTestDeps();
  const ann = await createUser(deps, 'ann');
  const circle = await circles.createCircle(deps, ann.actor, { name: 'Family' });
  expect(circle).toEqual({
    id: expect.any(Number),
    name: 'Family',
    createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    updatedAt: expect.any(String),
  });
  expect(await readRoles(deps, circle.id)).toEqual([[ann.user.id, 'ADMIN']]);
  expect(await circles.findCirclesByActor(deps, ann.actor)).toEqual([circle]);
  expect(await readEvents(deps, circleTopic(circle.id))).toEqual([]);
});

test('a name must be valid text, not empty and not too long', async () => {
  await using deps = await createTestDeps();
  const ann = await createUser(deps, 'ann');
  for (const name of ['', '   ', 'x'.repeat(121), 'a\0b', 'half \ud83d']) {
    await expect(circles.createCircle(deps, ann.actor, { name })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      details: { field: 'name' },
    });
  }
  const name = '🎈'.repeat(120);
  expect((await circles.createCircle(deps, ann.actor, { name })).name).toBe(name);
});

test('a device and a deleted account cannot create a circle', async () => {
  await using deps = await createTestDeps();
  const ann = await createUser(deps, 'ann');
  const device = await createDevice(deps, await createCircle(deps, ann), ann);
  expect(await readErrorCode(circles.createCircle(deps, device, { name: 'Mine' }))).toBe('FORBIDDEN');
  await deps.db.deleteFrom('users').execute();
  expect(await readErrorCode(circles.createCircle(deps, ann.actor, { name: 'Mine' }))).toBe(
    'UNAUTHENTICATED',
  );
});

test('any member can rename the circle, which publishes an event', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const { id: circleId } = await createCircle(deps, ann, bob);
  const circle = await circles.updateCircle(deps, bob.actor, { circleId, name: 'Friends' });
  expect(circle.name).toBe('Friends');
  expect(circle.updatedAt > circle.createdAt).toBe(true);
  expect((await readEvents(deps, circleTopic(circleId))).at(-1)).toEqual({ type: 'circle.updated', circle });
});

test('a circle is NOT_FOUND for users outside it', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const { id: circleId } = await createCircle(deps, ann);
  for (const id of [circleId, UNKNOWN_CIRCLE]) {
    const attempts = [
      circles.requireCircle(deps, bob.actor, id),
      circles.updateCircle(deps, bob.actor, { circleId: id, name: 'Mine' }),
      circles.deleteCircle(deps, bob.actor, { circleId: id }),
      circles.leaveCircle(deps, bob.actor, { circleId: id }),
      circles.inviteToCircle(deps, bob.actor, { circleId: id, email: bob.email }),
      circles.kickFromCircle(deps, bob.actor, { circleId: id, email: ann.email }),
      circles.openCircleEvents(deps, createSession(bob.actor), { circleId: id, after: null }),
    ];
    expect(new Set(await readOutcomes(attempts))).toEqual(new Set(['NOT_FOUND']));
  }
});

test('the device of a circle can read but not change it', async () => {
  await using deps = await createTestDeps();
  const ann = await createUser(deps, 'ann');
  const circle = await createCircle(deps, ann);
  await createCircle(deps, ann);
  const device = await createDevice(deps, circle, ann);
  expect(await circles.findCirclesByActor(deps, device)).toEqual([circle]);
  expect(await circles.requireCircle(deps, device, circle.id)).toEqual(circle);
  expect(await circles.findInvitationsByActor(deps, device)).toEqual([]);
  const attempts = [
    circles.updateCircle(deps, device, { circleId: circle.id, name: 'Mine' }),
    circles.deleteCircle(deps, device, { circleId: circle.id }),
    circles.leaveCircle(deps, device, { circleId: circle.id }),
    circles.inviteToCircle(deps, device, { circleId: circle.id, email: ann.email }),
    circles.kickFromCircle(deps, device, { circleId: circle.id, email: ann.email }),
  ];
  expect(new Set(await readOutcomes(attempts))).toEqual(new Set(['FORBIDDEN']));
});

test('an invitation is published to the invitee only, who joins by accepting', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const circle = await createCircle(deps, ann);
  const invitation = await circles.inviteToCircle(deps, ann.actor, {
    circleId: circle.id,
    email: '  BOB@Example.COM ',
  });
  expect(invitation).toMatchObject({
    circleId: circle.id,
    userId: bob.user.id,
    invitedById: ann.user.id,
    email: 'BOB@Example.COM',
  });
  const { email: _email, ...delivered } = invitation;
  expect(await readEvents(deps, accountTopic(bob.actor))).toEqual([
    { type: 'circle.invited', userId: bob.user.id, invitation: delivered, circle },
  ]);
  expect(await circles.findInvitationsByActor(deps, bob.actor)).toEqual([invitation]);
  expect((await circles.findInvitationsByCircles(deps, [circle.id])).get(circle.id)).toEqual([invitation]);
  expect(await readEvents(deps, circleTopic(circle.id))).toEqual([]);

  const joinedCircle = await circles.acceptInvitation(deps, bob.actor, { invitationId: invitation.id });
  expect(joinedCircle).toEqual(circle);
  expect(await readRoles(deps, circle.id)).toEqual([
    [ann.user.id, 'ADMIN'],
    [bob.user.id, 'MEMBER'],
  ]);
  expect(await circles.findInvitationsByActor(deps, bob.actor)).toEqual([]);
  expect(await readEvents(deps, circleTopic(circle.id))).toEqual([
    { type: 'member.joined', circleId: circle.id, user: bob.user },
  ]);
});

test('members, invited e-mails and invalid ones cannot be invited', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const { id } = await createCircle(deps, ann, bob);
  await invite(deps, bob, id, eve);
  expect(await readErrorCode(invite(deps, ann, id, bob))).toBe('CONFLICT');
  expect(await readErrorCode(invite(deps, ann, id, ann))).toBe('CONFLICT');
  expect(await readErrorCode(invite(deps, ann, id, eve))).toBe('CONFLICT');
  const inviteByEmail = (email: string) =>
    readErrorCode(circles.inviteToCircle(deps, ann.actor, { circleId: id, email }));
  expect(await inviteByEmail('nobody@example.com')).toBe('done');
  expect(await inviteByEmail('NOBODY@example.com')).toBe('CONFLICT');
  expect(await inviteByEmail('nobody')).toBe('INVALID_INPUT');
  expect(await readEventTypes(deps, accountTopic(eve.actor))).toEqual(['circle.invited']);
});

test('an invitation is visible to the circle, and accepted or declined only by its invitee', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const { id } = await createCircle(deps, ann);
  const invitation = await invite(deps, ann, id, bob);
  const input = { invitationId: invitation.id };
  expect(await circles.requireInvitation(deps, ann.actor, invitation.id)).toEqual(invitation);
  expect(await circles.requireInvitation(deps, bob.actor, invitation.id)).toEqual(invitation);
  expect(await readErrorCode(circles.requireInvitation(deps, eve.actor, invitation.id))).toBe('NOT_FOUND');
  for (const respond of [circles.acceptInvitation, circles.declineInvitation]) {
    expect(await readErrorCode(respond(deps, ann.actor, input))).toBe('FORBIDDEN');
    expect(await readErrorCode(respond(deps, eve.actor, input))).toBe('NOT_FOUND');
    expect(await readErrorCode(respond(deps, bob.actor, { invitationId: 77 as InvitationId }))).toBe(
      'NOT_FOUND',
    );
  }
  expect(await circles.declineInvitation(deps, bob.actor, input)).toEqual(invitation);
  expect(await readErrorCode(circles.acceptInvitation(deps, bob.actor, input))).toBe('NOT_FOUND');
  expect(await readRoles(deps, id)).toEqual([[ann.user.id, 'ADMIN']]);
  expect(await readEvents(deps, circleTopic(id))).toEqual([]);
});

test('a user who declined can be invited again', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const { id } = await createCircle(deps, ann);
  await circles.declineInvitation(deps, bob.actor, { invitationId: (await invite(deps, ann, id, bob)).id });
  await circles.acceptInvitation(deps, bob.actor, { invitationId: (await invite(deps, ann, id, bob)).id });
  expect(await readEventTypes(deps, circleTopic(id))).toEqual(['member.joined']);
});

test('of two concurrent accepts of an invitation, one is rejected', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const { id } = await createCircle(deps, ann);
  const input = { invitationId: (await invite(deps, ann, id, bob)).id };
  const accept = () => circles.acceptInvitation(deps, bob.actor, input);
  expect((await readOutcomes([accept(), accept(), accept()])).sort()).toEqual([
    'NOT_FOUND',
    'NOT_FOUND',
    'done',
  ]);
  expect(await readEventTypes(deps, circleTopic(id))).toEqual(['member.joined']);
});

test('of several concurrent invitations of one user to a circle, one succeeds', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const { id } = await createCircle(deps, ann);
  const attempts = Array.from({ length: 5 }, () => invite(deps, ann, id, bob));
  expect((await readOutcomes(attempts)).filter((outcome) => outcome === 'done')).toHaveLength(1);
  expect(await readEventTypes(deps, accountTopic(bob.actor))).toEqual(['circle.invited']);
});

test('leaving a circle leaves its conversations, and streams end after the event', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const circle = await createCircle(deps, ann, bob, eve);
  const group = await createConversation(deps, circle, bob, ann, eve);
  const pair = await createConversation(deps, circle, ann, bob);
  const otherPair = await createConversation(deps, circle, ann, eve);
  const stream = await circles.openCircleEvents(deps, createSession(bob.actor), {
    circleId: circle.id,
    after: null,
  });
  const result = readToEnd(stream);

  expect(await circles.leaveCircle(deps, bob.actor, { circleId: circle.id })).toEqual(circle);

  const memberLeft: CircleEvent = {
    type: 'member.left',
    circleId: circle.id,
    user: bob.user,
    deleted: false,
  };
  expect(await result).toEqual({
    events: [memberLeft],
    error: expect.objectContaining({ details: { reason: 'LEFT' } }),
  });
  expect((await readEventTypes(deps, conversationTopic(group.id))).slice(3)).toEqual(['participant.left']);
  expect((await readEventTypes(deps, conversationTopic(pair.id))).slice(2)).toEqual([
    'participant.left',
    'conversation.deleted',
  ]);
  expect((await readEventTypes(deps, conversationTopic(otherPair.id))).slice(2)).toEqual([]);
  const remaining = await conversations.findParticipantsByConversations(deps, [group.id, pair.id]);
  expect(remaining.get(group.id)).toMatchObject([
    { userId: ann.user.id, role: 'ADMIN' },
    { userId: eve.user.id, role: 'STANDARD' },
  ]);
  expect(remaining.get(pair.id)).toEqual([]);
  expect(await readErrorCode(circles.requireCircle(deps, bob.actor, circle.id))).toBe('NOT_FOUND');
});

test('when the last admin leaves, the oldest member becomes admin', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const { id: circleId } = await createCircle(deps, ann, eve, bob);
  await circles.leaveCircle(deps, ann.actor, { circleId });
  expect(await readRoles(deps, circleId)).toEqual([
    [eve.user.id, 'ADMIN'],
    [bob.user.id, 'MEMBER'],
  ]);
  await circles.leaveCircle(deps, bob.actor, { circleId });
  expect(await readRoles(deps, circleId)).toEqual([[eve.user.id, 'ADMIN']]);
});

test('a circle is deleted with its last member, with its device, invitations and conversations', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const circle = await createCircle(deps, ann);
  const device = await createDevice(deps, circle, ann);
  const conversation = await createConversation(deps, circle, ann);
  await invite(deps, ann, circle.id, bob);
  await circles.leaveCircle(deps, ann.actor, { circleId: circle.id });
  expect(await readEvents(deps, circleTopic(circle.id))).toEqual([
    expect.objectContaining({ type: 'device.added' }),
    { type: 'member.left', circleId: circle.id, user: ann.user, deleted: false },
    { type: 'circle.deleted', circle: { ...circle, name: '' } },
  ]);
  expect((await readEventTypes(deps, conversationTopic(conversation.id))).slice(1)).toEqual([
    'participant.left',
    'conversation.deleted',
  ]);
  expect(await readEventTypes(deps, accountTopic(device))).toEqual(['account.deleted']);
  expect(await circles.findCirclesById(deps, [circle.id])).toEqual(new Map());
  expect(await circles.findInvitationsByActor(deps, bob.actor)).toEqual([]);
  expect(await deps.db.selectFrom('devices').select('id').execute()).toEqual([]);
});

test('when the last members leave concurrently, the circle is deleted once and no call fails', async () => {
  await using deps = await createTestDeps();
  for (let round = 0; round < 5; round += 1) {
    const people = await Promise.all(['a', 'b', 'c'].map((name) => createUser(deps, `${name}${round}`)));
    const [ann, bob, eve] = people as [TestUser, TestUser, TestUser];
    const circle = await createCircle(deps, ann, bob, eve);
    await createConversation(deps, circle, bob, ann, eve);
    await createConversation(deps, circle, ann, eve);
    const leave = ({ actor }: TestUser) => circles.leaveCircle(deps, actor, { circleId: circle.id });
    expect(await readOutcomes(people.map(leave))).toEqual(['done', 'done', 'done']);
    const eventTypes = (await readEventTypes(deps, circleTopic(circle.id))).slice(2);
    expect(eventTypes).toEqual(['member.left', 'member.left', 'member.left', 'circle.deleted']);
  }
  expect(await deps.db.selectFrom('circles').select('id').execute()).toEqual([]);
  expect(await deps.db.selectFrom('conversations').select('id').execute()).toEqual([]);
});

test('an admin can kick a member out of the circle and its conversations', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const circle = await createCircle(deps, ann, bob, eve);
  const conversation = await createConversation(deps, circle, bob, ann, eve);
  const streams = await Promise.all([
    circles.openCircleEvents(deps, createSession(bob.actor), { circleId: circle.id, after: null }),
    conversations.openConversationEvents(deps, createSession(bob.actor), {
      conversationId: conversation.id,
      after: null,
    }),
  ]);
  const results = streams.map(readToEnd);
  const returnedCircle = await circles.kickFromCircle(deps, ann.actor, {
    circleId: circle.id,
    email: bob.email,
  });
  expect(returnedCircle).toEqual(circle);
  const [circleResult, conversationResult] = await Promise.all(results);
  const kicked = expect.objectContaining({ details: { reason: 'KICKED' } });
  expect(circleResult).toEqual({
    events: [{ type: 'member.kicked', circleId: circle.id, user: bob.user, by: ann.user }],
    error: kicked,
  });
  expect(conversationResult).toMatchObject({
    events: [{ type: 'participant.kicked', user: bob.user, by: ann.user, participant: { role: 'ADMIN' } }],
    error: kicked,
  });
  // The kicked member was the admin of the conversation.
  const remaining = await conversations.findParticipantsByConversations(deps, [conversation.id]);
  expect(remaining.get(conversation.id)).toMatchObject([
    { userId: ann.user.id, role: 'ADMIN' },
    { userId: eve.user.id, role: 'STANDARD' },
  ]);
});

test('only an admin can kick, and only other members', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const { id: circleId } = await createCircle(deps, ann, bob);
  await invite(deps, ann, circleId, eve);
  const kick = ({ actor }: TestUser, email: string) =>
    readErrorCode(circles.kickFromCircle(deps, actor, { circleId, email }));
  expect(await kick(bob, ann.email)).toBe('FORBIDDEN');
  expect(await kick(bob, 'nobody@example.com')).toBe('FORBIDDEN');
  expect(await kick(ann, ann.email)).toBe('FORBIDDEN');
  expect(await kick(ann, eve.email)).toBe('NOT_FOUND');
  expect(await kick(ann, 'nobody@example.com')).toBe('NOT_FOUND');
  expect(await readRoles(deps, circleId)).toHaveLength(2);
});

test('a concurrent kick and invitation to a conversation leave no participant without membership', async () => {
  await using deps = await createTestDeps();
  for (let round = 0; round < 6; round += 1) {
    const [ann, bob, eve] = await Promise.all(
      ['a', 'b', 'c'].map((name) => createUser(deps, `${name}${round}`)),
    );
    if (ann === undefined || bob === undefined || eve === undefined) throw new Error('missing person');
    const circle = await createCircle(deps, ann, bob, eve);
    const conversation = await createConversation(deps, circle, ann, eve);
    const kick = () => circles.kickFromCircle(deps, ann.actor, { circleId: circle.id, email: bob.email });
    const inviteBob = () =>
      conversations.inviteToConversation(deps, eve.actor, {
        conversationId: conversation.id,
        email: bob.email,
      });
    const create = () => createConversation(deps, circle, eve, bob, ann);
    const attempts = round % 2 === 0 ? [kick(), inviteBob(), create()] : [inviteBob(), create(), kick()];
    for (const outcome of await readOutcomes(attempts)) expect(['done', 'NOT_FOUND']).toContain(outcome);
    const participants = await deps.db
      .selectFrom('participants')
      .selectAll()
      .where('userId', '=', bob.user.id)
      .execute();
    expect(participants).toEqual([]);
    const eventTypes = (await readEventTypes(deps, conversationTopic(conversation.id))).slice(2);
    expect([[], ['participant.joined', 'participant.kicked']]).toContainEqual(eventTypes);
  }
});

test('an admin can delete the circle with all its contents', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const circle = await createCircle(deps, ann, bob, eve);
  const device = await createDevice(deps, circle, ann);
  const first = await createConversation(deps, circle, bob, eve);
  const second = await createConversation(deps, circle, ann, bob);
  const input = { circleId: circle.id };
  expect(await readErrorCode(circles.deleteCircle(deps, bob.actor, input))).toBe('FORBIDDEN');
  const result = readToEnd(
    await conversations.openConversationEvents(deps, createSession(eve.actor), {
      conversationId: first.id,
      after: null,
    }),
  );
  expect(await circles.deleteCircle(deps, ann.actor, input)).toEqual(circle);
  expect(await result).toEqual({
    events: [{ type: 'conversation.deleted', conversation: first }],
    error: expect.objectContaining({ code: 'NOT_FOUND', details: { reason: 'DELETED' } }),
  });
  expect((await readEvents(deps, conversationTopic(second.id))).at(-1)).toEqual({
    type: 'conversation.deleted',
    conversation: { ...second, name: '' },
  });
  expect((await readEvents(deps, circleTopic(circle.id))).at(-1)).toEqual({
    type: 'circle.deleted',
    circle: { ...circle, name: '' },
  });
  expect(await readEventTypes(deps, accountTopic(device))).toEqual(['account.deleted']);
  expect(await readErrorCode(circles.deleteCircle(deps, ann.actor, input))).toBe('NOT_FOUND');
});

test('a circle deleted while members leave and join is deleted completely', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const circle = await createCircle(deps, ann, bob);
  await createConversation(deps, circle, ann, bob);
  const invitation = await invite(deps, ann, circle.id, eve);
  const results = await readOutcomes([
    circles.leaveCircle(deps, bob.actor, { circleId: circle.id }),
    circles.deleteCircle(deps, ann.actor, { circleId: circle.id }),
    circles.acceptInvitation(deps, eve.actor, { invitationId: invitation.id }),
    createConversation(deps, circle, ann, bob),
  ]);
  expect(results[1]).toBe('done');
  for (const outcome of results) expect(['done', 'NOT_FOUND']).toContain(outcome);
  const eventTypes = await readEventTypes(deps, circleTopic(circle.id));
  expect(eventTypes.filter((type) => type === 'circle.deleted')).toHaveLength(1);
  expect(eventTypes.at(-1)).toBe('circle.deleted');
});

test('a membership is visible in its circle only', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const circle = await createCircle(deps, ann, bob);
  const device = await createDevice(deps, circle, ann);
  const [membership] = (await circles.findMembershipsByCircles(deps, [circle.id])).get(circle.id) ?? [];
  const id = membership?.id as MembershipId;
  for (const actor of [ann.actor, bob.actor, device]) {
    expect(await circles.requireMembership(deps, actor, id)).toEqual(membership);
  }
  expect(await readErrorCode(circles.requireMembership(deps, eve.actor, id))).toBe('NOT_FOUND');
  expect(await readErrorCode(circles.requireMembership(deps, ann.actor, 99 as MembershipId))).toBe(
    'NOT_FOUND',
  );
});

test('batched reads return an entry for every circle, also empty ones', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const [first, second] = [await createCircle(deps, ann, bob), await createCircle(deps, bob)];
  const ids = [second.id, UNKNOWN_CIRCLE, first.id];
  expect(await circles.findCirclesById(deps, ids)).toEqual(
    new Map([
      [first.id, first],
      [second.id, second],
    ]),
  );
  const members = await circles.findMembershipsByCircles(deps, ids);
  expect([...members.keys()]).toEqual(ids);
  expect(members.get(UNKNOWN_CIRCLE)).toEqual([]);
  expect(members.get(first.id)?.map(({ userId }) => userId)).toEqual([ann.user.id, bob.user.id]);
  expect(await circles.findInvitationsByCircles(deps, [])).toEqual(new Map());
});
