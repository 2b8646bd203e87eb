import { expect, test } from 'vitest';
import { createGateway } from '../../src/testing/index.ts';
import { createDataFolder } from '../harness/data-folder.ts';

test('gateways in one process are independent of each other', async () => {
  await using folder = await createDataFolder();
  await using secondFolder = await createDataFolder();
  await using one = await createGateway({ env: { DATA_DIR: folder.path } });
  await using two = await createGateway({ env: { DATA_DIR: secondFolder.path } });
  const [ann, bob] = [await one.createAccount(), await one.createAccount()];
  const [, other] = [await two.createAccount(), await two.createAccount()];
  expect(other.id).toBe(bob.id);
  await using events = await other.subscribeToInbox();
  await using own = await bob.subscribeToInbox();
  const { createCircle } = await ann.graphql.run<{ createCircle: { id: string } }>(
    'mutation { createCircle(name: "One") { id } }',
  );
  await ann.graphql.run(
    'mutation ($id: ID!, $email: String!) { inviteToCircle(circleId: $id, email: $email) { id } }',
    { id: createCircle.id, email: bob.login },
  );
  // The topic `user:2` exists on both gateways.
  expect(await own.next()).toMatchObject({ __typename: 'CircleInvited' });
  expect(await other.graphql.run('{ circles { nodes { name } } }')).toEqual({ circles: { nodes: [] } });
  expect(events.pending()).toEqual([]);
  expect((await two.graphql.send('{ me { __typename } }')).errors).toBeDefined();
  const stranger = await fetch(`${two.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${ann.token}` },
    body: '{"query":"{ me { __typename } }"}',
  });
  expect(stranger.status).toBe(401);
});
