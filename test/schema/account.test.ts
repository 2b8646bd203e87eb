import { expect, test } from 'vitest';
import { openSchemaClient } from './schema-client.ts';

const UPDATE =
  'mutation ($input: UpdateAccountInput!) { updateAccount(input: $input) { email firstName lastName birthday } }';

test('updateAccount changes the given fields only', async () => {
  await using client = await openSchemaClient();
  const ann = await client.createUser('Ann');
  const update = async (input: object) => (await client.run(ann, UPDATE, { input })).updateAccount;
  const before = { email: ann.email, firstName: 'Ann', lastName: 'Test', birthday: null };
  expect(await update({})).toEqual(before);
  expect(await update({ birthday: '1995-12-31', firstName: null })).toEqual({
    ...before,
    birthday: '1995-12-31',
  });
  expect(await update({ firstName: 'Anna' })).toEqual({
    ...before,
    firstName: 'Anna',
    birthday: '1995-12-31',
  });
  expect(await update({ birthday: null })).toEqual({ ...before, firstName: 'Anna' });
});

test('a birthday must be a calendar date', async () => {
  await using client = await openSchemaClient();
  const ann = await client.createUser('Ann');
  for (const birthday of [
    '',
    '1995-02-29',
    '1995-13-01',
    '1995-1-1',
    '1995-12-31T00:00:00Z',
    '0000-01-01',
    19951231,
  ]) {
    await expect(client.run(ann, UPDATE, { input: { birthday } })).rejects.toMatchObject({
      name: 'GraphQLError',
    });
  }
  const { updateAccount } = await client.run(ann, UPDATE, { input: { birthday: '1996-02-29' } });
  expect(updateAccount.birthday).toBe('1996-02-29');
});

test('refreshToken issues a token for the same account', async () => {
  await using client = await openSchemaClient();
  const ann = await client.createUser('Ann');
  const { refreshToken } = await client.run(
    ann,
    'mutation { refreshToken { token actor { __typename ... on User { email } } } }',
  );
  expect(refreshToken.actor).toEqual({ __typename: 'User', email: ann.email });
  expect(await client.deps.tokens.verify(refreshToken.token)).toMatchObject({});
  expect(await client.run(ann, 'mutation { logout }')).toEqual({ logout: true });
});

test('most operations require a token', async () => {
  await using client = await openSchemaClient();
  for (const document of [
    '{ me { __typename } }',
    '{ circles { nodes { id } } }',
    '{ circle(id: "Circle:1") { id } }',
    '{ message(id: "x") { id } }',
    '{ nodes(ids: []) { id } }',
    'mutation { logout }',
    'mutation { createCircle(name: "A") { id } }',
    'mutation { setTyping(conversationId: "Conversation:1", isTyping: true) }',
  ]) {
    expect(await client.expectError(null, document)).toEqual({ code: 'UNAUTHENTICATED' });
  }
  expect(await client.run(null, '{ __typename webrtc { stunServers { urls } } }')).toMatchObject({
    __typename: 'Query',
  });
});
