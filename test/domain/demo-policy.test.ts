import { expect, test } from 'vitest';
import { createGateway } from '../../src/testing/index.ts';
import type { UserId } from '../../src/ids.ts';
import { openTestDatabase } from '../harness/database.ts';

const LOGIN =
  'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { token } }';
const ANN = { email: 'ann@example.com', password: 'parley' };

test('a gateway that disallows demo accounts rejects those that another one creates later, under any e-mail', async () => {
  const database = await openTestDatabase();
  await using gateway = await createGateway({ database, env: { DEMO: 'off' } });
  await using demoGateway = await createGateway({ database, demo: true });
  expect(await gateway.graphql.expectError(LOGIN, ANN)).toBe('UNAUTHENTICATED');
  const { login } = await demoGateway.graphql.run<{ login: { token: string } }>(LOGIN, ANN);
  expect(login.token).toBeTruthy();
  await database.db
    .updateTable('users')
    .set({ email: 'anna@example.com' })
    .where('id', '=', 1 as UserId)
    .execute();
  const newCredentials = { ...ANN, email: 'anna@example.com' };
  expect(await gateway.graphql.expectError(LOGIN, newCredentials)).toBe('UNAUTHENTICATED');
  await demoGateway.graphql.run(LOGIN, newCredentials);
});
