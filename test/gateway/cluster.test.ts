import { describe, expect, inject, test } from 'vitest';
import { circleOf, conversationOf, createGateway, createGraphqlClient } from '../../src/testing/index.ts';
import type { GatewayOptions } from '../../src/testing/index.ts';
import { testApp } from '../harness/app.ts';
import { testDatabase } from '../harness/database.ts';

import { sendMessage } from '../harness/demo-family.ts';
import { needs } from '../harness/programs.ts';
import { startRedis } from '../harness/redis.ts';

/** Starts two nodes on one database. */
async function twoNodes(env: GatewayOptions['env'] = {}) {
  const database = await testDatabase();
  const shared = { AUTH_SECRET: 'shared by both nodes', ...env };
  const stack = new AsyncDisposableStack();
  const [one, two] = [
    stack.use(await createGateway({ database, env: shared })),
    stack.use(await createGateway({ database, env: shared })),
  ];
  return { one, two, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const SIGNALS = 'subscription { signals { content } }';

describe.skipIf(inject('database') !== 'postgres')('two nodes on one PostgreSQL', () => {
  test('a message sent on one node reaches GraphQL and legacy clients of the other', async () => {
    await using nodes = await twoNodes();
    const ann = await nodes.one.account();
    const bob = await nodes.two.account();
    const circle = await circleOf(ann, bob);
    const conversation = await conversationOf(ann, circle, bob);
    await using events = await bob.conversationEvents(conversation.id);
    const legacy = await bob.legacy();
    await legacy.push('join_conversation', { conversation_id: conversation.legacyId });
    for (const text of ['one', 'two', 'x'.repeat(8192)]) {
      await sendMessage(ann, conversation, text);
      expect(await events.next()).toMatchObject({ message: { text } });
      expect(await legacy.expect('message')).toMatchObject({ message: { content: text } });
    }
  });

  test('a signal of any size reaches its target on the other node', async () => {
    await using nodes = await twoNodes();
    const ann = await nodes.one.account();
    const bob = await nodes.two.account();
    await circleOf(ann, bob);
    const legacy = await bob.legacy();
    await using signals = bob.graphql.subscribe(SIGNALS);
    await using inbox = await bob.inboxEvents();
    expect(inbox.waiting()).toEqual([]);
    const caller = await ann.legacy();
    for (const message of ['CALLING', 'v=0'.repeat(10_000)]) {
      const payload = { user_id: bob.legacyId, message };
      expect(await caller.push('webrtc_forward', payload)).toBe('Message forwarded');
      expect(await legacy.expect('webrtc_forward')).toMatchObject({ content: payload });
      expect(await signals.next()).toEqual({ content: payload });
    }
  });

  test('presence is shared: an account online on one node is online on the other, until its last connection ends', async () => {
    await using nodes = await twoNodes();
    const ann = await nodes.one.account();
    const bob = await nodes.two.account();
    const circle = await circleOf(ann, bob);
    const watcher = await ann.legacy();
    await watcher.push('join_circle', { circle_id: circle.legacyId });
    const legacy = await bob.legacy();
    expect(await watcher.expect('circle')).toMatchObject({ event: 'connect', user: bob.login });
    legacy.close();
    expect(await watcher.expect('circle')).toMatchObject({ event: 'disconnect', user: bob.login });
    expect(watcher.waiting()).toEqual([]);
  });

  test('logout and a kick on one node end streams and rooms on the other', async () => {
    await using nodes = await twoNodes();
    const ann = await nodes.one.account();
    const bob = await nodes.two.account();
    const circle = await circleOf(ann, bob);
    await using events = await bob.circleEvents(circle.id);
    await ann.graphql.run(
      'mutation ($id: ID!, $email: String!) { kickFromCircle(circleId: $id, email: $email) { id } }',
      {
        id: circle.id,
        email: bob.login,
      },
    );
    expect(await events.ended()).toMatchObject([{ extensions: { reason: 'KICKED' } }]);
    const legacy = await bob.legacy();
    await using inbox = await bob.inboxEvents();
    await using elsewhere = createGraphqlClient(nodes.one.url, bob.token);
    await elsewhere.run('mutation { logout }');
    expect(await legacy.expect('error')).toBe('User not found');
    await legacy.disconnected();
    expect(await inbox.ended()).toMatchObject([{ extensions: { reason: 'LOGGED_OUT' } }]);
  });
});

describe.skipIf(inject('database') !== 'postgres' || needs('redis-server'))(
  'two nodes connected by Redis',
  () => {
    test('deliver each other’s events, also those of a Redis outage', async () => {
      await using redis = await startRedis();
      await using nodes = await twoNodes({ DATABASE_URL: 'postgres://given', REDIS_URL: redis.url });
      const ann = await nodes.one.account();
      const bob = await nodes.two.account();
      const circle = await circleOf(ann, bob);
      const conversation = await conversationOf(ann, circle, bob);
      await using events = await bob.conversationEvents(conversation.id);
      await sendMessage(ann, conversation, 'before');
      expect(await events.next()).toMatchObject({ message: { text: 'before' } });
      await redis.stop();
      await sendMessage(ann, conversation, 'during');
      expect((await fetch(`${nodes.one.url}/readyz`)).status).toBe(503);
      await redis.start();
      expect(await events.next()).toMatchObject({ message: { text: 'during' } });
      await sendMessage(ann, conversation, 'after');
      expect(await events.next()).toMatchObject({ message: { text: 'after' } });
    });
  },
);

test('a node with an embedded database joins no cluster', async () => {
  await using app = await testApp();
  expect((await fetch(`${app.url}/readyz`)).status).toBe(200);
});
