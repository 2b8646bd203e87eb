import { describe, expect, inject, test } from 'vitest';
import {
  createCircle,
  createConversation,
  createGateway,
  createGraphqlClient,
} from '../../src/testing/index.ts';
import type { GatewayOptions } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { openTestDatabase } from '../harness/database.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { indexes } from '../harness/numbers.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { startRedis } from '../harness/redis.ts';

/** Starts two nodes on one database. */
async function startTwoNodes(env: GatewayOptions['env'] = {}) {
  const database = await openTestDatabase();
  const sharedEnv = { AUTH_SECRET: 'shared by both nodes', ...env };
  const stack = new AsyncDisposableStack();
  const [one, two] = [
    stack.use(await createGateway({ database, env: sharedEnv })),
    stack.use(await createGateway({ database, env: sharedEnv })),
  ];
  return { one, two, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const MARK_READ =
  'mutation ($id: ID!, $messageId: ID!) { markRead(conversationId: $id, messageId: $messageId) { id } }';
const READ_STATES = `subscription { inboxEvents {
  __typename at ... on ReadStateChanged { messageId conversation { unreadCount lastReadMessage { id } } }
} }`;

type ReadStateEvent = Record<'at' | 'messageId', string> & Record<'conversation', object>;

const SIGNALS = 'subscription { signals { content } }';

describe.skipIf(inject('database') !== 'postgres')('two nodes on one PostgreSQL', () => {
  test('a message sent on one node reaches GraphQL and legacy clients of the other', async () => {
    await using nodes = await startTwoNodes();
    const ann = await nodes.one.createAccount();
    const bob = await nodes.two.createAccount();
    const circle = await createCircle(ann, bob);
    const conversation = await createConversation(ann, circle, bob);
    await using events = await bob.subscribeToConversation(conversation.id);
    const legacyClient = await bob.connectLegacy();
    await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
    for (const text of ['one', 'two', 'x'.repeat(8192)]) {
      await sendMessage(ann, conversation, text);
      expect(await events.next()).toMatchObject({ message: { text } });
      expect(await legacyClient.expect('message')).toMatchObject({ message: { content: text } });
    }
  });

  test('marks on both nodes reach every session of the account, at most one event in 100 ms', async () => {
    await using nodes = await startTwoNodes();
    const ann = await nodes.one.createAccount();
    const bob = await nodes.two.createAccount();
    const circle = await createCircle(ann, bob);
    const conversation = await createConversation(ann, circle, bob);
    await using elsewhere = createGraphqlClient(nodes.one.url, bob.token);
    await using inbox = elsewhere.subscribe(READ_STATES);
    await using sameNode = bob.graphql.subscribe(READ_STATES);
    for (const stream of [inbox, sameNode]) await stream.nextOf('StreamLive');
    const marks: Promise<unknown>[] = [];
    let newest = '';
    for (const index of indexes(40)) {
      const { sendMessage: sent } = await sendMessage(ann, conversation, 'hello');
      newest = sent.message.id;
      const client = index % 2 === 0 ? elsewhere : bob.graphql;
      marks.push(client.run(MARK_READ, { id: conversation.id, messageId: newest }));
    }
    await Promise.all(marks);
    for (const stream of [inbox, sameNode]) {
      const events: ReadStateEvent[] = [];
      do events.push((await stream.next()) as ReadStateEvent);
      while (events.at(-1)?.messageId !== newest);
      const times = events.map(({ at }) => Date.parse(at));
      const gaps = times.slice(1).map((time, index) => time - (times[index] ?? NaN));
      expect(Math.min(100, ...gaps)).toBe(100);
      expect(events.at(-1)?.conversation).toEqual({ unreadCount: 0, lastReadMessage: { id: newest } });
    }
  });

  test('a signal of any size reaches its target on the other node', async () => {
    await using nodes = await startTwoNodes();
    const ann = await nodes.one.createAccount();
    const bob = await nodes.two.createAccount();
    await createCircle(ann, bob);
    const legacyClient = await bob.connectLegacy();
    await using signals = bob.graphql.subscribe(SIGNALS);
    await using inbox = await bob.subscribeToInbox();
    expect(inbox.pending()).toEqual([]);
    const caller = await ann.connectLegacy();
    for (const message of ['CALLING', 'v=0'.repeat(10_000)]) {
      const payload = { user_id: bob.legacyId, message };
      expect(await caller.push('webrtc_forward', payload)).toBe('Message forwarded');
      expect(await legacyClient.expect('webrtc_forward')).toMatchObject({ content: payload });
      expect(await signals.next()).toEqual({ content: payload });
    }
  });

  test('presence is shared: an account online on one node is online on the other, until its last connection ends', async () => {
    await using nodes = await startTwoNodes();
    const ann = await nodes.one.createAccount();
    const bob = await nodes.two.createAccount();
    const circle = await createCircle(ann, bob);
    const watcher = await ann.connectLegacy();
    await watcher.push('join_circle', { circle_id: circle.legacyId });
    const legacyClient = await bob.connectLegacy();
    expect(await watcher.expect('circle')).toMatchObject({ event: 'connect', user: bob.login });
    legacyClient.close();
    expect(await watcher.expect('circle')).toMatchObject({ event: 'disconnect', user: bob.login });
    expect(watcher.pending()).toEqual([]);
  });

  test('logout and a kick on one node end streams and rooms on the other', async () => {
    await using nodes = await startTwoNodes();
    const ann = await nodes.one.createAccount();
    const bob = await nodes.two.createAccount();
    const circle = await createCircle(ann, bob);
    await using events = await bob.subscribeToCircle(circle.id);
    await ann.graphql.run(
      'mutation ($id: ID!, $email: String!) { kickFromCircle(circleId: $id, email: $email) { id } }',
      {
        id: circle.id,
        email: bob.login,
      },
    );
    expect(await events.waitForEnd()).toMatchObject([{ extensions: { reason: 'KICKED' } }]);
    const legacyClient = await bob.connectLegacy();
    await using inbox = await bob.subscribeToInbox();
    await using otherClient = createGraphqlClient(nodes.one.url, bob.token);
    await otherClient.run('mutation { logout }');
    expect(await legacyClient.expect('error')).toBe('User not found');
    await legacyClient.waitForDisconnect();
    expect(await inbox.waitForEnd()).toMatchObject([{ extensions: { reason: 'LOGGED_OUT' } }]);
  });
});

describe.skipIf(inject('database') !== 'postgres' || isMissing('redis-server'))(
  'two nodes connected by Redis',
  () => {
    test('deliver each other’s events, including those published during a Redis outage', async () => {
      await using redis = await startRedis();
      await using nodes = await startTwoNodes({ DATABASE_URL: 'postgres://given', REDIS_URL: redis.url });
      const ann = await nodes.one.createAccount();
      const bob = await nodes.two.createAccount();
      const circle = await createCircle(ann, bob);
      const conversation = await createConversation(ann, circle, bob);
      await using events = await bob.subscribeToConversation(conversation.id);
      await sendMessage(ann, conversation, 'before');
      expect(await events.next()).toMatchObject({ message: { text: 'before' } });
      await redis.stop();
      await sendMessage(ann, conversation, 'during');
      expect(await events.next()).toMatchObject({ message: { text: 'during' } });
      await redis.start();
      await sendMessage(ann, conversation, 'after');
      expect(await events.next()).toMatchObject({ message: { text: 'after' } });
    });
  },
);

test('a node with an embedded database joins no cluster', async () => {
  await using app = await startTestApp();
  expect((await fetch(`${app.url}/readyz`)).status).toBe(200);
});
