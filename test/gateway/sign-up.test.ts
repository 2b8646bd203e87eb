import { expect, test } from 'vitest';
import { createGateway } from '../../src/testing/index.ts';
import { openTestDatabase } from '../harness/database.ts';

const INPUT = 'input: { email: "cy@example.com", password: "a secret one", firstName: "C", lastName: "Y" }';
const CREATE = `mutation { createAccount(${INPUT}) { token } }`;
const LOGIN = 'mutation { login(email: "cy@example.com", password: "a secret one") { token } }';

test('with sign-up off no account is created, and existing accounts can log in', async () => {
  const database = await openTestDatabase();
  {
    await using open = await createGateway({ database });
    await open.graphql.run(CREATE);
  }
  await using restricted = await createGateway({ database, env: { SIGN_UP: 'off' } });
  expect(await restricted.graphql.expectError(CREATE.replace('cy@', 'di@'))).toBe('FORBIDDEN');
  expect(await restricted.graphql.run(LOGIN)).toMatchObject({
    login: { token: expect.any(String) as string },
  });
});

test('with password login off, accounts can neither log in nor be created, and devices can log in', async () => {
  const database = await openTestDatabase();
  let credentials: Record<string, unknown>;
  {
    await using open = await createGateway({ database });
    const ann = await open.createAccount();
    await open.graphql.run(CREATE);
    const { createCircle } = await ann.graphql.run<{ createCircle: { id: string } }>(
      'mutation { createCircle(name: "Home") { id } }',
    );
    const { addDevice } = await ann.graphql.run<{ addDevice: Record<string, unknown> }>(
      'mutation ($id: ID!) { addDevice(circleId: $id, name: "Lamp") { username password } }',
      { id: createCircle.id },
    );
    credentials = addDevice;
  }
  await using restricted = await createGateway({ database, env: { PASSWORD_LOGIN: 'off' } });
  expect(await restricted.graphql.expectError(LOGIN)).toBe('FORBIDDEN');
  expect(await restricted.graphql.expectError(CREATE.replace('cy@', 'di@'))).toBe('FORBIDDEN');
  expect(
    await restricted.graphql.run(
      'mutation ($username: String!, $password: String!) { loginDevice(username: $username, password: $password) { token } }',
      credentials,
    ),
  ).toMatchObject({ loginDevice: { token: expect.any(String) as string } });
});
