import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';
import { openTestDatabase } from '../harness/database.ts';
import type { GraphqlError } from '../../src/testing/index.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import type { GraphqlSocket } from '../harness/graphql-socket.ts';
import { indexes } from '../harness/numbers.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';

test('a frame that only a server may send closes with 4400', async () => {
  await using app = await startTestApp();
  await using socket = await openGraphqlSocket(app.url, {});
  socket.send({ type: 'next', id: '1', payload: {} });
  expect((await socket.waitForClose()).code).toBe(4400);
});

test.each([{ token: 5 }, { authorization: { token: 'x' } }])(
  'a token that is not a string, %o, closes with 4403',
  async (payload) => {
    await using app = await startTestApp();
    await using socket = await openGraphqlSocket(app.url);
    socket.send({ type: 'connection_init', payload });
    expect((await socket.waitForClose()).code).toBe(4403);
  },
);

test('operations with their own token and a shared id leave no account online', async () => {
  const database = await openTestDatabase();
  await using app = await startTestApp({ database });
  const ann = await app.createAccount();
  await using socket = await openGraphqlSocket(app.url, {});
  const query = 'subscription { inboxEvents { __typename } }';
  const extensions = { headers: { authorization: `Bearer ${ann.token}` } };
  for (let round = 0; round < 5; round += 1) {
    socket.send({ id: '1', type: 'subscribe', payload: { query, extensions } });
    socket.send({ id: '1', type: 'complete' });
  }
  socket.send({ id: '2', type: 'subscribe', payload: { query, extensions } });
  await socket.next(({ id, type }) => id === '2' && type === 'next');
  const findLeases = () =>
    database.db.selectFrom('leases').select('id').where('closedAt', 'is', null).execute();
  await expect.poll(findLeases).toHaveLength(1);
  socket.send({ id: '2', type: 'complete' });
  await expect.poll(findLeases).toHaveLength(0);
});

test('a reused id identifies one operation at a time', async () => {
  await using app = await startTestApp();
  const { ann, conversation } = await createAnnAndBob(app);
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  const query = `subscription { conversationEvents(conversationId: "${conversation.id}") { __typename ... on MessageSent { message { text } } } }`;
  for (let round = 0; round < 50; round += 1) {
    socket.send({ id: 'A', type: 'subscribe', payload: { query } });
    socket.send({ id: 'A', type: 'complete' });
  }
  socket.send({ id: 'A', type: 'subscribe', payload: { query } });
  await socket.nextOf('next');
  for (const text of ['one', 'two']) await sendMessage(ann, conversation, text);
  for (const text of ['one', 'two']) {
    expect(await socket.next()).toMatchObject({
      id: 'A',
      payload: { data: { conversationEvents: { message: { text } } } },
    });
  }
  socket.send({ id: 'A', type: 'complete' });
  await sendMessage(ann, conversation, 'three');
  socket.send({ type: 'ping' });
  expect(await socket.next()).toEqual({ type: 'pong' });
});

test('an id that is in use closes with 4409', async () => {
  await using app = await startTestApp();
  const ann = await app.createAccount();
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  const query = 'subscription { inboxEvents { __typename } }';
  socket.send({ id: 'A', type: 'subscribe', payload: { query } });
  socket.send({ id: 'A', type: 'subscribe', payload: { query } });
  expect((await socket.waitForClose()).code).toBe(4409);
});

test.for(['mutation { logout }', 'mutation { deleteAccount(password: "correct horse") { email } }'])(
  'the result of %s is sent on the connection that it ends',
  async (query) => {
    await using app = await startTestApp();
    const ann = await app.createAccount({ password: 'correct horse' });
    await using socket = await openGraphqlSocket(app.url, { token: ann.token });
    socket.send({ id: '1', type: 'subscribe', payload: { query } });
    expect(await socket.next()).toMatchObject({ id: '1', type: 'next', payload: { data: {} } });
    expect(await socket.next()).toEqual({ id: '1', type: 'complete' });
    expect((await socket.waitForClose()).code).toBe(4401);
  },
);

test('queries are aborted when their client disconnects, without unhandled rejections', async () => {
  await using app = await startTestApp();
  const { ann, conversation } = await createAnnAndBob(app);
  await sendMessage(ann, conversation, 'x'.repeat(8_000));
  const unhandled: unknown[] = [];
  const onRejection = (reason: unknown) => void unhandled.push(reason);
  process.on('unhandledRejection', onRejection);
  const aliases = Array.from({ length: 200 }, (_, index) => `a${index}: author { ... on User { email } }`);
  const query = `{ conversation(id: "${conversation.id}") { eventCursor messages(last: 100) { nodes { ${aliases.join(' ')} } } } }`;
  const socket = await openGraphqlSocket(app.url, { token: ann.token });
  for (let index = 0; index < 50; index += 1)
    socket.send({ id: String(index), type: 'subscribe', payload: { query } });
  await socket.nextOf('next');
  socket.socket.terminate();
  // The embedded database has one connection, so this runs after the aborted queries have released it.
  expect(await ann.graphql.run('{ me { __typename } }')).toEqual({ me: { __typename: 'User' } });
  await sendMessage(ann, conversation, 'still here');
  process.off('unhandledRejection', onRejection);
  expect(unhandled).toEqual([]);
});

test('a result with too much text is LIMIT_EXCEEDED', async () => {
  await using app = await startTestApp();
  const { ann, conversation } = await createAnnAndBob(app);
  for (let index = 0; index < 10; index += 1) await sendMessage(ann, conversation, 'x'.repeat(8_192));
  const aliases = Array.from({ length: 60 }, (_, index) => `t${index}: text`).join(' ');
  const query = `query ($id: ID!) { conversation(id: $id) { messages(last: 10) { nodes { ${aliases} } } } }`;
  expect(await ann.graphql.expectError(query, { id: conversation.id })).toBe('LIMIT_EXCEEDED');
});

/** Ends a subscription, and waits until it has ended. */
async function unsubscribe(socket: GraphqlSocket, id: string): Promise<void> {
  socket.send({ id, type: 'complete' });
  // An id in use closes the connection: the reply to the second use of the id shows that it was free.
  socket.send({ id, type: 'subscribe', payload: { query: '{ __typename }' } });
  await socket.nextOf('complete');
}

/** Subscribes with the ids, and returns the codes of the subscriptions that were refused. */
async function subscribe(
  socket: GraphqlSocket,
  ids: readonly number[],
  variables: object = {},
): Promise<readonly unknown[]> {
  const query = 'subscription { inboxEvents { __typename } }';
  for (const id of ids) socket.send({ id: String(id), type: 'subscribe', payload: { query, variables } });
  const codes: unknown[] = [];
  for (const _ of ids) {
    const { type, payload } = await socket.next();
    if (type === 'error') codes.push((payload as [GraphqlError])[0].extensions?.['code']);
  }
  return codes;
}

test('a connection runs at most 1,000 operations', async () => {
  await using app = await startTestApp();
  const { token } = await app.createAccount();
  await using socket = await openGraphqlSocket(app.url, { token });
  expect(await subscribe(socket, indexes(1_000))).toEqual([]);
  expect(await subscribe(socket, [1_001, 1_002])).toEqual(['LIMIT_EXCEEDED', 'LIMIT_EXCEEDED']);
  await unsubscribe(socket, '0');
  expect(await subscribe(socket, [1_003, 1_004])).toEqual(['LIMIT_EXCEEDED']);
});

test('the variables of the open subscriptions of a connection are limited', async () => {
  await using app = await startTestApp();
  const { token } = await app.createAccount();
  await using socket = await openGraphqlSocket(app.url, { token });
  const variables = { padding: 'x'.repeat(400_000) };
  for (const id of [0, 1, 2]) expect(await subscribe(socket, [id], variables)).toEqual([]);
  expect(await subscribe(socket, [3])).toEqual(['LIMIT_EXCEEDED']);
  await unsubscribe(socket, '0');
  expect(await subscribe(socket, [4])).toEqual([]);
});
