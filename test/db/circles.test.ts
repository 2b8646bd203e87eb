import { expect, test } from 'vitest';
import * as circles from '../../src/db/circles.ts';
import { testDeps } from '../harness/deps.ts';
import { circleOf, person } from '../harness/seed.ts';

test('only the circles with the user as their single member are found', async () => {
  await using deps = await testDeps();
  const [ann, bob] = [await person(deps, 'ann'), await person(deps, 'bob')];
  const [shared, own, other] = [
    await circleOf(deps, ann, bob),
    await circleOf(deps, ann),
    await circleOf(deps, bob),
  ];
  const ids = [shared.id, own.id, other.id];
  expect(await circles.findWithOnlyMember(deps.db, ids, ann.user.id)).toEqual([own.id]);
  expect(await circles.findWithOnlyMember(deps.db, [shared.id], ann.user.id)).toEqual([]);
  expect(await circles.findWithOnlyMember(deps.db, [], ann.user.id)).toEqual([]);
});

test('a member is promoted only if there is no admin', async () => {
  await using deps = await testDeps();
  const [ann, bob, eve] = [await person(deps, 'ann'), await person(deps, 'bob'), await person(deps, 'eve')];
  const { id } = await circleOf(deps, ann, bob, eve);
  const roles = async () => (await circles.findMemberships(deps.db, [id])).map(({ role }) => role);
  await deps.db.transaction().execute((tx) => circles.ensureAdmin(tx, id));
  expect(await roles()).toEqual(['ADMIN', 'MEMBER', 'MEMBER']);
  await deps.db.transaction().execute(async (tx) => {
    await circles.removeMembership(tx, id, ann.user.id);
    await circles.ensureAdmin(tx, id);
  });
  expect(await roles()).toEqual(['ADMIN', 'MEMBER']);
});
