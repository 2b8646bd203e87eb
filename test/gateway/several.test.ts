import { describe, expect, inject, test } from 'vitest';
import { createGateway } from '../../src/testing/index.ts';

describe.skipIf(inject('database') !== 'pglite')('gateways of their own', () => {
  test('know nothing of each other, however many there are', async () => {
    await using one = await createGateway();
    await using two = await createGateway();
    const ann = await one.account({ email: 'ann@example.com' });
    const other = await two.account({ email: 'ann@example.com' });
    expect(other.id).toBe(ann.id);
    await using events = await other.inboxEvents();
    await ann.graphql.run('mutation { createCircle(name: "One") { id } }');
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
