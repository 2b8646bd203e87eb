import { expect, inject, test } from 'vitest';
import { createCircle, createConversation, createGateway } from '../../src/testing/index.ts';
import { openTestDatabase } from '../harness/database.ts';
import { createOperator } from '../harness/operator.ts';

interface TopicCounts {
  readonly topics: readonly { readonly topic: string; readonly readers: number }[];
}

interface Ends {
  readonly nodes: readonly {
    readonly ends: readonly { transport: string; reason: string; count: number }[];
  }[];
}

/** Starts two nodes on PostgreSQL, or one on the embedded database, which has only one. */
async function startNodes() {
  const database = await openTestDatabase();
  const options = { database, env: { AUTH_SECRET: 'shared by both nodes' } };
  const stack = new AsyncDisposableStack();
  const one = stack.use(await createGateway(options));
  const two = inject('database') === 'postgres' ? stack.use(await createGateway(options)) : one;
  return { one, two, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

test('topics are listed by their readers on all nodes and transports', async () => {
  await using nodes = await startNodes();
  const ann = await nodes.one.createAccount();
  const bob = await nodes.two.createAccount();
  const circle = await createCircle(ann, bob);
  const conversation = await createConversation(ann, circle, bob);
  await using annsTalk = await ann.subscribeToConversation(conversation.id);
  await using bobsTalk = await bob.subscribeToConversation(conversation.id);
  await using annsCircle = await ann.subscribeToCircle(circle.id);
  await using legacyClient = await bob.connectLegacy();
  await legacyClient.push('join_conversation', { conversation_id: conversation.legacyId });
  const { topics } = await createOperator(nodes.two.url).run<TopicCounts>('{ topics { topic readers } }');
  expect(topics).toEqual([
    { topic: `conversation:${conversation.legacyId}`, readers: 3 },
    { topic: `circle:${circle.legacyId}`, readers: 1 },
  ]);
  for (const stream of [annsTalk, bobsTalk, annsCircle]) expect(stream.pending()).toEqual([]);
  const operator = createOperator(nodes.one.url);
  expect(await operator.run('{ topics(first: 1) { topic } }')).toEqual({
    topics: [{ topic: `conversation:${conversation.legacyId}` }],
  });
  expect(await operator.expectError('{ topics(first: 101) { topic } }')).toBe('LIMIT_EXCEEDED');
});

test('ended connections are counted by transport and reason', async () => {
  await using nodes = await startNodes();
  const ann = await nodes.two.createAccount();
  await using inbox = await ann.subscribeToInbox();
  await using legacyClient = await ann.connectLegacy();
  const operator = createOperator(nodes.one.url);
  await operator.run('mutation ($id: ID!) { revokeSessions(accountId: $id) { id } }', { id: ann.id });
  await inbox.waitForEnd();
  await legacyClient.waitForDisconnect();
  await expect
    .poll(async () => {
      const { nodes: found } = await operator.run<Ends>('{ nodes { ends { transport reason count } } }');
      return found.flatMap(({ ends }) => ends).toSorted((a, b) => (a.transport < b.transport ? -1 : 1));
    })
    .toEqual([
      { transport: 'GRAPHQL_WS', reason: 'LOGGED_OUT', count: 1 },
      { transport: 'SOCKET_IO', reason: 'LOGGED_OUT', count: 1 },
    ]);
});
