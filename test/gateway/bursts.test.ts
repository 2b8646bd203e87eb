import { afterEach, expect, test, vi } from 'vitest';
import { authenticate } from '../../src/domain/accounts.ts';
import type { ConversationId } from '../../src/ids.ts';
import { createTestAccount } from '../../src/testing/account.ts';
import type { NewAccount } from '../../src/testing/account.ts';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';
import { startTestApp } from '../harness/app.ts';
import { openTestDatabase } from '../harness/database.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import type { GraphqlSocket } from '../harness/graphql-socket.ts';
import { startLimitedApp } from '../harness/limited-app.ts';
import { indexes } from '../harness/numbers.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import { countWritesTo } from '../harness/tcp-writes.ts';

// What is sent to a subscriber in one turn of the event loop leaves in one write, in order with all else on its socket.

const BURST = 40;

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

async function subscribe(socket: GraphqlSocket, id: string, conversationId: string): Promise<void> {
  const query = `subscription { conversationEvents(conversationId: "${conversationId}") { __typename ... on MessageSent { message { text } } } }`;
  socket.send({ id, type: 'subscribe', payload: { query } });
  await socket.next((frame) => frame['id'] === id);
}

const textOf = (frame: unknown): unknown =>
  (frame as { payload: { data: { conversationEvents: { message: { text: string } } } } }).payload.data
    .conversationEvents.message.text;

/** Starts the product, with access to its parts, and creates Ann and Bob with a conversation. */
async function startLimitedAppWithAnnAndBob() {
  const stack = new AsyncDisposableStack();
  const app = stack.use(await startLimitedApp({ database: await openTestDatabase() }));
  const graphql = stack.use(createGraphqlClient(app.url));
  const createAccount = async (account: NewAccount) =>
    stack.use(await createTestAccount(app.url, graphql, account));
  const created = await createAnnAndBob({ createAccount });
  return { app, ...created, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Sends messages of Ann that are committed together. Returns their texts, in order. */
async function sendTogether(
  { app, ann, conversation }: Awaited<ReturnType<typeof startLimitedAppWithAnnAndBob>>,
  count: number,
): Promise<string[]> {
  const { actor } = await authenticate(app.deps, ann.token);
  const conversationId = conversation.legacyId as ConversationId;
  const texts = indexes(count).map(String);
  await Promise.all(
    texts.map((text) => app.deps.sendBatcher.send({ actor, conversationId, text, files: [], key: null })),
  );
  return texts;
}

test('messages that commit together reach each subscriber in fewer writes than messages, in the order of the log', async () => {
  await using fixture = await startLimitedAppWithAnnAndBob();
  const { app, bob, conversation } = fixture;
  // The ids have different lengths, and the last two are equal.
  const sockets = [];
  for (const id of ['1', 'a "quoted" id', 'é', 'é']) {
    const socket = await openGraphqlSocket(app.url, { token: bob.token });
    await subscribe(socket, id, conversation.id);
    sockets.push({ id, socket, countWrites: countWritesTo(socket.socket) });
  }
  const sent = await sendTogether(fixture, BURST);
  for (const { id, socket, countWrites } of sockets) {
    const texts = [];
    for (let n = 0; n < BURST; n += 1) {
      const frame = await socket.next();
      expect(frame).toMatchObject({ id, type: 'next' });
      texts.push(textOf(frame));
    }
    expect(texts).toEqual(sent);
    expect(countWrites()).toBeLessThan(BURST);
    await socket[Symbol.asyncDispose]();
  }
});

test('128 messages that commit together are one write to each subscriber, of GraphQL and of Socket.IO', async () => {
  await using fixture = await startLimitedAppWithAnnAndBob();
  const { app, bob, conversation } = fixture;
  await using graphql = await openGraphqlSocket(app.url, { token: bob.token });
  await subscribe(graphql, '1', conversation.id);
  await using legacy = await openPacketSocket(app.url, 4);
  await legacy.request('authenticate', { token: bob.token });
  await legacy.request('join_conversation', { conversation_id: conversation.legacyId });
  const counts = [graphql, legacy].map(({ socket }) => countWritesTo(socket));
  // A turn of the event loop that takes long would be divided.
  vi.useFakeTimers({ toFake: ['performance'] });
  for (const text of await sendTogether(fixture, 128)) {
    expect(textOf(await graphql.next())).toBe(text);
    expect(await legacy.next()).toContain(`"content":"${text}"`);
  }
  expect(counts.map((count) => count())).toEqual([1, 1]);
});

test('all sends of a connection may be in one batch, and delay no queries of it', async () => {
  await using fixture = await startLimitedAppWithAnnAndBob();
  const { app, ann, conversation } = fixture;
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  const sendAll = Promise.withResolvers<never>();
  const send = vi.spyOn(app.deps.sendBatcher, 'send').mockReturnValue(sendAll.promise);
  const run = (id: string, query: string) => socket.send({ id, type: 'subscribe', payload: { query } });
  const mutation = `mutation { sendMessage(conversationId: "${conversation.id}", text: "hello") { message { text } } }`;
  for (const n of indexes(BURST)) run(String(n), mutation);
  run('query', '{ me { __typename } }');
  expect(await socket.next()).toMatchObject({ id: 'query', type: 'next' });
  expect(send).toHaveBeenCalledTimes(BURST);
  sendAll.reject(new Error('The test is over.'));
});

test('the result of a mutation and the events that it causes on the same socket leave in one write', async () => {
  await using app = await startTestApp();
  const { ann, conversation } = await createAnnAndBob(app);
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  await subscribe(socket, 'first', conversation.id);
  await subscribe(socket, 'second', conversation.id);
  const countWrites = countWritesTo(socket.socket);
  const query = `mutation { sendMessage(conversationId: "${conversation.id}", text: "hello") { message { text } } }`;
  socket.send({ id: 'send', type: 'subscribe', payload: { query } });
  for (const id of ['first', 'second', 'send'])
    expect(await socket.next()).toMatchObject({ id, type: 'next' });
  expect(await socket.next()).toMatchObject({ id: 'send', type: 'complete' });
  expect(countWrites()).toBe(1);
});
