import { expect, inject, test, vi } from 'vitest';
import * as accounts from '../../src/domain/accounts.ts';
import * as circles from '../../src/domain/circles.ts';
import * as conversations from '../../src/domain/conversations.ts';
import type { Deps } from '../../src/domain/deps.ts';
import * as devices from '../../src/domain/devices.ts';
import * as messages from '../../src/domain/messages.ts';
import { circleTopic, conversationTopic } from '../../src/events/event.ts';
import type { Topic } from '../../src/events/event.ts';
import { openTestDatabase } from '../harness/database.ts';
import { createTestDeps } from '../harness/deps.ts';
import {
  createCircle,
  createConversation,
  readEventTypes,
  readOutcomes,
  createUser,
  createUsers,
  createSession,
} from '../harness/domain-fixtures.ts';
import type { TestUser } from '../harness/domain-fixtures.ts';
import { countLockWaits, lockRows } from '../harness/lock-rows.ts';
import { createRandom } from '../harness/random.ts';

/** Attempts a random operation on existing data. Most attempts are rejected, as expected. */
async function attemptOperation(
  deps: Deps,
  users: readonly TestUser[],
  pick: (below: number) => number,
): Promise<unknown> {
  const pickUser = (): TestUser => users[pick(users.length)] as TestUser;
  const [{ actor }, { email }] = [pickUser(), pickUser()];
  const [circleRows, conversationRows, invitationRows] = await Promise.all([
    deps.db.selectFrom('circles').select('id').orderBy('id').execute(),
    deps.db.selectFrom('conversations').select('id').orderBy('id').execute(),
    deps.db.selectFrom('invitations').selectAll().orderBy('id').execute(),
  ]);
  const circleId = circleRows[pick(circleRows.length)]?.id;
  const conversationId = conversationRows[pick(conversationRows.length)]?.id;
  const invitation = invitationRows[pick(invitationRows.length)];
  if (circleId === undefined) return circles.createCircle(deps, actor, { name: 'Family' });
  switch (pick(16)) {
    case 0:
    case 1:
      return circles.inviteToCircle(deps, actor, { circleId, email });
    case 2:
    case 3:
    case 4:
      if (invitation === undefined) return undefined;
      return circles.acceptInvitation(
        deps,
        { kind: 'user', id: invitation.userId },
        { invitationId: invitation.id },
      );
    case 5:
      return circles.leaveCircle(deps, actor, { circleId });
    case 6:
      return circles.kickFromCircle(deps, actor, { circleId, email });
    case 7:
      return pick(4) === 0 ? circles.deleteCircle(deps, actor, { circleId }) : undefined;
    case 8:
      return circles.updateCircle(deps, actor, { circleId, name: 'Renamed' });
    case 9: {
      const emails = [email, pickUser().email];
      return conversations.createConversation(deps, actor, { circleId, name: 'Plans', emails });
    }
    case 10:
      return devices.addDevice(deps, actor, { circleId, name: 'Lamp' });
    default:
      return conversationId === undefined
        ? undefined
        : attemptInConversation(deps, actor, { conversationId, email }, pick);
  }
}

async function attemptInConversation(
  deps: Deps,
  actor: TestUser['actor'],
  input: Parameters<typeof conversations.inviteToConversation>[2],
  pick: (below: number) => number,
): Promise<unknown> {
  const allowed = pick(2) === 0;
  switch (pick(5)) {
    case 0:
      return conversations.leaveConversation(deps, actor, input);
    case 1:
      return conversations.kickFromConversation(deps, actor, input);
    case 2:
      return conversations.promoteInConversation(deps, actor, input);
    case 3:
      return conversations.setDeviceAccess(deps, actor, { ...input, allowed });
    default:
      return conversations.inviteToConversation(deps, actor, input);
  }
}

test('invariants hold after many random concurrent operations', { timeout: 60_000 }, async () => {
  await using deps = await createTestDeps();
  const pick = createRandom(7);
  const users = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => createUser(deps, name)));
  const [first, second, ...members] = users as [TestUser, TestUser, ...TestUser[]];
  await createCircle(deps, first, second, ...members);
  await createCircle(deps, second, first, ...members);
  const observedOutcomes = new Set<string>();
  for (let round = 0; round < 40; round += 1) {
    const attempts = Array.from({ length: 8 }, () => attemptOperation(deps, users, pick));
    for (const outcome of await readOutcomes(attempts)) observedOutcomes.add(outcome);
  }
  expect(observedOutcomes).toEqual(new Set(['done', 'CONFLICT', 'FORBIDDEN', 'NOT_FOUND']));
  await expectInvariants(deps);
});

async function expectInvariants({ db }: Deps): Promise<void> {
  const memberships = await db.selectFrom('memberships').selectAll().execute();
  const participants = await db.selectFrom('participants').selectAll().execute();
  const allConversations = await db.selectFrom('conversations').selectAll().execute();
  const allCircles = await db.selectFrom('circles').selectAll().execute();
  for (const { id } of allCircles) {
    const roles = memberships.filter(({ circleId }) => circleId === id).map(({ role }) => role);
    expect(roles.filter((role) => role === 'ADMIN').length).toBeGreaterThan(0);
  }
  for (const { id, circleId } of allConversations) {
    const conversationParticipants = participants.filter(({ conversationId }) => conversationId === id);
    expect(conversationParticipants.filter(({ role }) => role === 'ADMIN').length).toBeGreaterThan(0);
    for (const { userId } of conversationParticipants) {
      expect(memberships.some((member) => member.circleId === circleId && member.userId === userId)).toBe(
        true,
      );
    }
  }
  const heads = await db
    .selectFrom('topics')
    .leftJoin('events', 'events.topic', 'topics.topic')
    .select(({ fn }) => [
      'topics.topic',
      'topics.head',
      fn.count('events.seq').as('count'),
      fn.max('events.seq').as('last'),
    ])
    .groupBy(['topics.topic', 'topics.head'])
    .execute();
  for (const { head, count, last } of heads) expect([Number(count), last ?? 0]).toEqual([head, head]);
}

test('an account deleted while joining a circle has left it or never joined', async () => {
  await using deps = await createTestDeps();
  const bob = await createUser(deps, 'bob');
  const { id: circleId } = await createCircle(deps, bob);
  for (let round = 0; round < 12; round += 1) {
    const ann = await createUser(deps, `ann${round}`);
    const { id: invitationId } = await circles.inviteToCircle(deps, bob.actor, {
      circleId,
      email: ann.email,
    });
    const attempts = [
      () => accounts.deleteAccount(deps, createSession(ann.actor), { password: '' }),
      () => circles.acceptInvitation(deps, ann.actor, { invitationId }),
    ];
    if (round % 2 === 0) attempts.reverse();
    await readOutcomes(attempts.map((run) => run()));
  }
  expect((await circles.findMembershipsByCircles(deps, [circleId])).get(circleId)).toHaveLength(1);
  const eventTypes = await readEventTypes(deps, circleTopic(circleId));
  const count = (type: string) => eventTypes.filter((eventType) => eventType === type).length;
  expect(count('member.left')).toBe(count('member.joined'));
});

test.skipIf(inject('database') !== 'postgres')(
  'a change that no longer needs the conversation that it was queued for does not block it',
  async () => {
    const { url = '', control } = await openTestDatabase();
    await using deps = await createTestDeps();
    const [ann, bob, cy] = await createUsers(deps, 'ann', 'bob', 'cy');
    const circle = await createCircle(deps, ann, bob, cy);
    const { id: conversationId } = await createConversation(deps, circle, ann, bob, cy);
    const lockTopic = (topic: Topic) =>
      lockRows(url, `select 1 from topics where topic = '${topic}' for update`);
    const waitForTurn = vi.spyOn(deps.topicLocks, 'waitForTurn');

    await using conversationLock = await lockTopic(conversationTopic(conversationId));
    const kick = conversations.kickFromConversation(deps, ann.actor, { conversationId, email: bob.email });
    await vi.waitFor(async () => expect(await countLockWaits(control)).toBe(1), { timeout: 5_000 });
    const leave = circles.leaveCircle(deps, bob.actor, { circleId: circle.id });
    await vi.waitFor(() => expect(waitForTurn).toHaveBeenCalled(), { timeout: 5_000 });
    // The second attempt finds the conversations once the kick has committed.
    await using circleLock = await lockTopic(circleTopic(circle.id));
    await conversationLock.release();
    await kick;
    await circleLock.release();
    await leave;
    await conversations.updateConversation(deps, ann.actor, { conversationId, name: 'Renamed' });
  },
);

test.skipIf(inject('database') !== 'postgres')(
  'while the row of an account is locked, its sends fail no others of their batches',
  async () => {
    const { url = '' } = await openTestDatabase();
    await using deps = await createTestDeps();
    const [ann, bob] = await createUsers(deps, 'ann', 'bob');
    const circle = await createCircle(deps, ann, bob);
    const { id: conversationId } = await createConversation(deps, circle, ann, bob);
    await using lock = await lockRows(url, `select 1 from users where id = ${ann.user.id} for update`);
    for (const text of ['one', 'two']) {
      const sends = [ann, bob, ann].map(({ actor }) =>
        messages.sendMessage(deps, actor, { conversationId, text }),
      );
      const [first, other, second] = await Promise.allSettled(sends);
      expect(other).toMatchObject({ status: 'fulfilled' });
      for (const own of [first, second])
        expect(own).toMatchObject({ status: 'rejected', reason: { code: '57014' } });
    }
    await lock.release();
    await messages.sendMessage(deps, ann.actor, { conversationId, text: 'three' });
  },
);
