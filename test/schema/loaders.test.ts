import { expect, test } from 'vitest';
import { updateAccount } from '../../src/domain/accounts.ts';
import { Loaders } from '../../src/schema/loaders.ts';
import { createTestDeps } from '../harness/deps.ts';
import { createUsers } from '../harness/domain-fixtures.ts';
import { countStatements } from '../harness/statements.ts';

test('a user is read once in an operation, and again after `forget`', async () => {
  await using deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const counted = countStatements(deps.db);
  const loaders = new Loaders(
    () => ({ ...deps, db: counted.db }),
    () => ann.actor,
  );
  const first = await loaders.user(ann.user.id);
  expect(await loaders.user(ann.user.id)).toBe(first);
  const both = await Promise.all([loaders.user(ann.user.id), loaders.user(bob.user.id)]);
  expect(both).toEqual([first, expect.objectContaining({ id: bob.user.id })]);
  expect(counted.count).toBe(2);
  await updateAccount(deps, ann.actor, { firstName: 'Anna' });
  loaders.forget();
  expect(await loaders.user(ann.user.id)).toMatchObject({ firstName: 'Anna' });
  expect(counted.count).toBe(3);
});
