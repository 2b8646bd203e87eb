import { expect, test } from 'vitest';
import * as circles from '../../src/db/circles.ts';
import { createTestDeps } from '../harness/deps.ts';
import { createCircle, createUsers } from '../harness/domain-fixtures.ts';

test('only the circles with the user as their single member are found', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const [shared, own, other] = [
    await createCircle(deps, ann, bob),
    await createCircle(deps, ann),
    await createCircle(deps, bob),
  ];
  const ids = [shared.id, own.id, other.id];
  expect(await circles.findWithOnlyMember(deps.db, ids, ann.user.id)).toEqual([own.id]);
  expect(await circles.findWithOnlyMember(deps.db, [shared.id], ann.user.id)).toEqual([]);
  expect(await circles.findWithOnlyMember(deps.db, [], ann.user.id)).toEqual([]);
});

test('a member is promoted only if there is no admin', async () => {
  await using deps = await createTestDeps();
  const [ann, bob, eve] = await createUsers(deps, 'ann', 'bob', 'eve');
  const { id } = await createCircle(deps, ann, bob, eve);
  const readRoles = async () =>
    (await circles.findMembershipsByCircles(deps.db, [id])).map(({ role }) => role);
  await deps.db.transaction().execute((tx) => circles.ensureAdmin(tx, id));
  expect(await readRoles()).toEqual(['ADMIN', 'MEMBER', 'MEMBER']);
  await deps.db.transaction().execute(async (tx) => {
    await circles.removeMembership(tx, id, ann.user.id);
    await circles.ensureAdmin(tx, id);
  });
  expect(await readRoles()).toEqual(['ADMIN', 'MEMBER']);
});
