import { expect, test } from 'vitest';
import * as accounts from '../../src/domain/accounts.ts';
import * as circles from '../../src/domain/circles.ts';
import * as conversations from '../../src/domain/conversations.ts';
import type { Deps } from '../../src/domain/deps.ts';
import * as devices from '../../src/domain/devices.ts';
import { circleTopic } from '../../src/events/event.ts';
import { createTestDeps } from '../harness/deps.ts';
import { createCircle, readEventTypes, readOutcomes, createUser } from '../harness/domain-fixtures.ts';
import type { TestUser } from '../harness/domain-fixtures.ts';

/** The same numbers in every run, so that a failure can be repeated. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Attempts a random operation on existing data. Most are refused, as they should be. */
async function attempt(
  deps: Deps,
  people: readonly TestUser[],
  pick: (below: number) => number,
): Promise<unknown> {
  const who = (): TestUser => people[pick(people.length)] as TestUser;
  const [{ actor }, { email }] = [who(), who()];
  const [circleRows, conversationRows, invitationRows] = await Promise.all([
    deps.db.selectFrom('circles').select('id').orderBy('id').execute(),
    deps.db.selectFrom('conversations').select('id').orderBy('id').execute(),
    deps.db.selectFrom('invitations').selectAll().orderBy('id').execute(),
  ]);
  const circleId = circleRows[pick(circleRows.length)]?.id;
  const conversationId = conversationRows[pick(conversationRows.length)]?.id;
  const invitation = invitationRows[pick(invitationRows.length)];
  if (circleId === undefined) return circles.createCircle(deps, actor, { name: 'Again' });
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
      const emails = [email, who().email];
      return conversations.createConversation(deps, actor, { circleId, name: 'Plans', emails });
    }
    case 10:
      return devices.addDevice(deps, actor, { circleId, name: 'Lamp' });
    default:
      return conversationId === undefined
        ? undefined
        : attemptThere(deps, actor, { conversationId, email }, pick);
  }
}

async function attemptThere(
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
  const pick = numbers(7);
  const people = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => createUser(deps, name)));
  const [first, second, ...others] = people as [TestUser, TestUser, ...TestUser[]];
  await createCircle(deps, first, second, ...others);
  await createCircle(deps, second, first, ...others);
  const seen = new Set<string>();
  for (let round = 0; round < 40; round += 1) {
    const attempts = Array.from({ length: 8 }, () => attempt(deps, people, pick));
    for (const outcome of await readOutcomes(attempts)) seen.add(outcome);
  }
  expect(seen).toEqual(new Set(['done', 'CONFLICT', 'FORBIDDEN', 'NOT_FOUND']));
  await expectRulesToHold(deps);
});

async function expectRulesToHold({ db }: Deps): Promise<void> {
  const members = await db.selectFrom('memberships').selectAll().execute();
  const takingPart = await db.selectFrom('participants').selectAll().execute();
  const allConversations = await db.selectFrom('conversations').selectAll().execute();
  const allCircles = await db.selectFrom('circles').selectAll().execute();
  for (const { id } of allCircles) {
    const roles = members.filter(({ circleId }) => circleId === id).map(({ role }) => role);
    expect(roles.filter((role) => role === 'ADMIN').length).toBeGreaterThan(0);
  }
  for (const { id, circleId } of allConversations) {
    const own = takingPart.filter(({ conversationId }) => conversationId === id);
    expect(own.filter(({ role }) => role === 'ADMIN').length).toBeGreaterThan(0);
    for (const { userId } of own) {
      expect(members.some((member) => member.circleId === circleId && member.userId === userId)).toBe(true);
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
      () => accounts.deleteAccount(deps, ann.actor, { password: '' }),
      () => circles.acceptInvitation(deps, ann.actor, { invitationId }),
    ];
    if (round % 2 === 0) attempts.reverse();
    await readOutcomes(attempts.map((act) => act()));
  }
  expect((await circles.findMembershipsOfCircles(deps, [circleId])).get(circleId)).toHaveLength(1);
  const told = await readEventTypes(deps, circleTopic(circleId));
  const count = (type: string) => told.filter((one) => one === type).length;
  expect(count('member.left')).toBe(count('member.joined'));
});
