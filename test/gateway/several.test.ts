import { describe, expect, inject, test } from 'vitest';
import { createGateway } from '../../src/testing/index.ts';

describe.skipIf(inject('database') !== 'pglite')('gateways of their own', () => {
  test('know nothing of each other, however many there are', async () => {
    await using one = await createGateway();
    await using two = await createGateway();
    const [ann, bob] = [await one.account(), await one.account()];
    const [, other] = [await two.account(), await two.account()];
    expect(other.id).toBe(bob.id);
    await using events = await other.inboxEvents();
    await using own = await bob.inboxEvents();
    const { createCircle } = await ann.graphql.run<{ createCircle: { id: string } }>(
      'mutation { createCircle(name: "One") { id } }',
    );
    await ann.graphql.run(
      'mutation ($id: ID!, $email: String!) { inviteToCircle(circleId: $id, email: $email) { id } }',
      { id: createCircle.id, email: bob.login },
    );
    // It is an event of `user:2`, whom both gateways have.
    expect(await own.next()).toMatchObject({ __typename: 'CircleInvited' });
    expect(await other.graphql.run('{ circles { nodes { name } } }')).toEqual({ circles: { nodes: [] } });
    expect(events.waiting()).toEqual([]);
    expect((await two.graphql.send('{ me { __typename } }')).errors).toBeDefined();
    const stranger = await fetch(`${two.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${ann.token}` },
      body: '{"query":"{ me { __typename } }"}',
    });
    expect(stranger.status).toBe(401);
  });
});
