import { createClient } from 'graphql-ws';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createReceiveQueue } from '../../src/testing/receive-queue.ts';
import { clientVersions, loadClient } from '../clients/load.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { startTestApp } from '../harness/app.ts';
import { openEventStream } from '../harness/event-stream.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import {
  END_SUBSCRIPTION,
  endConnection,
  findConnection,
  listConnections,
  listPage,
} from '../harness/live-connections.ts';
import { indexes } from '../harness/numbers.ts';
import { createOperator } from '../harness/operator.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';

const CHAT = `subscription Chat($id: ID!) {
  conversationEvents(conversationId: $id) { __typename cursor ... on MessageSent { message { text } } }
}`;

async function createFixture() {
  const app = await startTestApp();
  return { app, operator: createOperator(app.url), ...(await createAnnAndBob(app)) };
}

const subscribeTo = (id: string, conversationId: string) => ({
  id,
  type: 'subscribe',
  payload: { query: CHAT, variables: { id: conversationId } },
});

test('lists what is known of a GraphQL WebSocket', async () => {
  const { app, operator, ann, conversation } = await createFixture();
  await using _app = app;
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  socket.send(subscribeTo('chat', conversation.id));
  await socket.nextOf('next');
  socket.send({
    id: 'typing',
    type: 'subscribe',
    payload: { query: 'subscription { signals { content } }' },
  });
  await expect.poll(async () => (await listConnections(operator))[0]?.subscriptionCount).toBe(2);
  const [listed, ...others] = await listConnections(operator);
  expect(others).toEqual([]);
  expect(listed).toMatchObject({
    id: expect.stringMatching(/^ws-[0-9a-f]{8}-\d+$/) as unknown,
    transport: 'GRAPHQL_WS',
    protocol: 'graphql-transport-ws',
    client: null,
    account: ann.id,
    address: '127.0.0.1',
    nodeName: null,
    waitingBytes: 0,
    behind: 0,
    subscriptions: [
      {
        id: 'chat',
        topic: `conversation:${conversation.legacyId}`,
        operation: 'subscription Chat',
        behind: 0,
      },
      { id: 'typing', topic: `user:${ann.legacyId}`, operation: 'subscription anonymous', behind: null },
    ],
  });
  expect(await findConnection(operator, listed?.id ?? '')).toEqual(listed);
  expect(await findConnection(operator, 'ws-0-1')).toBeNull();
});

test('lists event streams and Socket.IO clients with their clients', async () => {
  const { app, operator, ann, bob, conversation } = await createFixture();
  await using _app = app;
  using stream = await openEventStream(app.url, {
    query: CHAT,
    variables: { id: conversation.id },
    token: ann.token,
    headers: { 'user-agent': `Browser ${'x'.repeat(300)}` },
  });
  await stream.readUntil(/StreamLive/);
  await using polling = await bob.connectLegacy({ transports: ['polling'] });
  await polling.push('join_conversation', { conversation_id: conversation.legacyId });
  await using _packets = await openPacketSocket(app.url, 3);
  const topic = `conversation:${conversation.legacyId}`;
  expect(await listConnections(operator)).toMatchObject([
    {
      transport: 'SSE',
      protocol: 'text/event-stream',
      client: `Browser ${'x'.repeat(192)}`,
      account: ann.id,
      subscriptions: [{ id: '1', topic, operation: 'subscription Chat', behind: 0 }],
    },
    {
      transport: 'SOCKET_IO',
      protocol: 'Engine.IO 4, polling',
      client: 'js 3.x-4.x',
      account: bob.id,
      subscriptions: [{ id: topic, topic, operation: null, behind: null }],
    },
    { protocol: 'Engine.IO 3, websocket', account: null, subscriptions: [] },
  ]);
  const count = async (args: string) => (await listConnections(operator, args)).length;
  expect(await count('transport: SSE')).toBe(1);
  expect(await count(`accountId: "${bob.id}"`)).toBe(1);
  expect(await count(`topic: "${topic}"`)).toBe(2);
  expect(await count(`topic: "${conversation.id}", transport: SOCKET_IO`)).toBe(1);
  expect(await count('topic: "conversation:99"')).toBe(0);
});

test('pages of connections contain each once, in every order', async () => {
  const { app, operator, ann } = await createFixture();
  await using _app = app;
  await using stack = new AsyncDisposableStack();
  for (const _index of indexes(7)) stack.use(await openGraphqlSocket(app.url, { token: ann.token }));
  for (const orderBy of ['SINCE', 'BEHIND', 'WAITING_BYTES']) {
    const ids: string[] = [];
    for (let after = ''; ;) {
      const page = await listPage(operator, `first: 3, orderBy: ${orderBy}, after: "${after}"`);
      ids.push(...page.nodes.map(({ id }) => id));
      after = page.pageInfo.endCursor ?? '';
      if (!page.pageInfo.hasNextPage) break;
      expect(page.nodes).toHaveLength(3);
    }
    expect(new Set(ids).size).toBe(7);
    expect(ids).toHaveLength(7);
  }
  const { pageInfo } = await listPage(operator, 'first: 1');
  expect(
    await operator.expectError(
      `{ connections(after: "${pageInfo.endCursor}", orderBy: BEHIND) { nodes { id } } }`,
    ),
  ).toBe('INVALID_INPUT');
  expect(await listPage(operator, 'first: 0')).toMatchObject({ nodes: [], pageInfo: { hasNextPage: true } });
});

test.each([
  ['an account of another type', 'connections(accountId: "Circle:1") { nodes { id } }', 'INVALID_INPUT'],
  ['a malformed topic', 'connections(topic: "conversation:x") { nodes { id } }', 'INVALID_INPUT'],
  ['a malformed cursor', 'connections(after: "WzFd") { nodes { id } }', 'INVALID_INPUT'],
  ['too large a page', 'connections(first: 101) { nodes { id } }', 'LIMIT_EXCEEDED'],
])('rejects %s', async (_case, query, code) => {
  await using app = await startTestApp();
  expect(await createOperator(app.url).expectError(`{ ${query} }`)).toBe(code);
});

test('a reader that does not read is first by events and by bytes, and is ended although it does not answer', async () => {
  const { app, operator, ann, bob, conversation } = await createFixture();
  await using _app = app;
  await using reader = await openGraphqlSocket(app.url, { token: bob.token });
  await using slow = await openGraphqlSocket(app.url, { token: ann.token });
  for (const socket of [reader, slow]) {
    socket.send(subscribeTo('1', conversation.id));
    await socket.nextOf('next');
  }
  const [, slowListed] = await listConnections(operator);
  slow.socket.pause();
  const text = 'x'.repeat(8_000);
  const first = async (orderBy: string) =>
    (await listConnections(operator, `first: 1, orderBy: ${orderBy}`))[0];
  await expect
    .poll(
      async () => {
        await Promise.all(indexes(50).map(() => sendMessage(bob, conversation, text)));
        return (await first('BEHIND'))?.behind;
      },
      { timeout: 30_000 },
    )
    .toBeGreaterThan(100);
  const behind = await first('BEHIND');
  expect(behind?.id).toBe(slowListed?.id);
  expect(behind?.subscriptions[0]?.behind).toBe(behind?.behind);
  const waiting = await first('WAITING_BYTES');
  expect(waiting?.id).toBe(slowListed?.id);
  expect(waiting?.waitingBytes).toBeGreaterThan(64 * 1024);
  expect(await endConnection(operator, slowListed?.id ?? '')).toMatchObject({ id: slowListed?.id });
  expect(await listConnections(operator)).toHaveLength(1);
  // Its client reads again only after the server has given up the connection.
  await expect
    .poll(
      async () =>
        (await (await fetch(`${app.url}/metrics`)).text()).match(/parley_connections\{[^}]*ws"\} (\d+)/)?.[1],
      {
        timeout: 10_000,
      },
    )
    .toBe('1');
});

test('an ended client of graphql-ws connects again by its own retry, and misses nothing', async () => {
  const { app, operator, ann, bob, conversation } = await createFixture();
  await using _app = app;
  const events = createReceiveQueue<Record<string, unknown>>('events');
  const closes = createReceiveQueue<CloseEvent>('closes');
  const errors: unknown[] = [];
  const client = createClient({
    url: `${app.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { token: ann.token },
    retryWait: async () => undefined,
    on: { closed: (event) => closes.push(event as CloseEvent) },
  });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => void client.dispose());
  client.subscribe<{ conversationEvents: Record<string, unknown> }>(
    { query: CHAT, variables: { id: conversation.id } },
    {
      next: ({ data }) => events.push(data?.conversationEvents ?? {}),
      error: (error) => errors.push(error),
      complete: () => errors.push('complete'),
    },
  );
  expect(await events.next()).toMatchObject({ __typename: 'StreamLive' });
  const [before] = await listConnections(operator);
  expect(await endConnection(operator, before?.id ?? '')).toMatchObject({ id: before?.id, account: ann.id });
  expect(await closes.next()).toMatchObject({ code: 1012, reason: 'OPERATOR' });
  expect(await events.next()).toMatchObject({ __typename: 'StreamLive' });
  await sendMessage(bob, conversation, 'back');
  expect(await events.next()).toMatchObject({ message: { text: 'back' } });
  expect(errors).toEqual([]);
  expect((await listConnections(operator))[0]?.id).not.toBe(before?.id);
});

test('an ended connection sends the results of its mutations, and nothing on its streams', async () => {
  const { app, operator, ann, conversation } = await createFixture();
  await using _app = app;
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  socket.send(subscribeTo('1', conversation.id));
  await socket.nextOf('next');
  const [listed] = await listConnections(operator);
  socket.send({
    id: 'm',
    type: 'subscribe',
    payload: { query: 'mutation { createCircle(name: "Last") { name } }' },
  });
  await endConnection(operator, listed?.id ?? '');
  expect(await socket.waitForClose()).toEqual({ code: 1012, reason: 'OPERATOR' });
  expect(socket.pending()).toMatchObject([
    { id: 'm', type: 'next', payload: { data: { createCircle: { name: 'Last' } } } },
    { id: 'm', type: 'complete' },
  ]);
  expect(await operator.expectError('mutation { endConnection(id: "ws-0-1") { id } }')).toBe('NOT_FOUND');
});

test('an ended event stream ends after a retry time, without an error', async () => {
  const { app, operator, ann, conversation } = await createFixture();
  await using _app = app;
  using stream = await openEventStream(app.url, {
    query: CHAT,
    variables: { id: conversation.id },
    token: ann.token,
  });
  await stream.readUntil(/StreamLive/);
  const [listed] = await listConnections(operator);
  await endConnection(operator, listed?.id ?? '');
  let rest = '';
  for await (const chunk of stream.text) rest += chunk;
  expect(rest).toMatch(/^retry: \d+\n\n$/);
  expect(await listConnections(operator)).toEqual([]);
});

test.each(clientVersions)(
  'a Socket.IO client %s connects again after it was ended, and is served',
  async (version) => {
    const { app, operator, ann } = await createFixture();
    await using _app = app;
    await using stack = new AsyncDisposableStack();
    for (const transport of ['polling', 'websocket'] as const) {
      const socket = loadClient(version)(app.url, {
        transports: [transport],
        forceNew: true,
        reconnectionDelay: 20,
        reconnectionDelayMax: 40,
      });
      stack.defer(() => void socket.close());
      const events = createReceiveQueue<string>('events');
      for (const name of ['connect', 'disconnect', 'success']) socket.on(name, () => events.push(name));
      expect(await events.next()).toBe('connect');
      socket.emit('authenticate', { token: ann.token });
      expect(await events.next()).toBe('success');
      const [listed] = await listConnections(operator, `accountId: "${ann.id}"`);
      expect(await endConnection(operator, listed?.id ?? '')).toMatchObject({ transport: 'SOCKET_IO' });
      expect(await events.next()).toBe('disconnect');
      expect(await events.next()).toBe('connect');
      socket.emit('authenticate', { token: ann.token });
      expect(await events.next()).toBe('success');
      const [newer] = await listConnections(operator, `accountId: "${ann.id}"`);
      expect(newer?.id).not.toBe(listed?.id);
      socket.close();
      await expect.poll(() => listConnections(operator)).toEqual([]);
    }
  },
);

test('a client of Socket.IO that does not read is ended', async () => {
  const { app, operator, ann, bob, conversation } = await createFixture();
  await using _app = app;
  await using legacy = await openPacketSocket(app.url, 4);
  await legacy.request('authenticate', { token: ann.token });
  await legacy.request('join_conversation', { conversation_id: conversation.legacyId });
  const ofAnn = () => listConnections(operator, `accountId: "${ann.id}"`);
  await expect.poll(async () => (await ofAnn())[0]?.subscriptionCount).toBe(1);
  legacy.socket.pause();
  const text = 'x'.repeat(8_000);
  await expect
    .poll(
      async () => {
        await Promise.all(indexes(20).map(() => sendMessage(bob, conversation, text)));
        return (await ofAnn())[0]?.waitingBytes;
      },
      { timeout: 30_000 },
    )
    .toBeGreaterThan(100_000);
  const [first] = await listConnections(operator, 'first: 1, orderBy: BEHIND');
  expect(first?.account).toBe(ann.id);
  await endConnection(operator, first?.id ?? '');
  expect(await ofAnn()).toEqual([]);
  await expect
    .poll(
      async () =>
        (await (await fetch(`${app.url}/metrics`)).text()).match(/parley_connections\{[^}]*io"\} (\d+)/)?.[1],
      {
        timeout: 10_000,
      },
    )
    .toBe('0');
});

test('an ended subscription receives an error with the reason, and the others of its connection continue', async () => {
  const { app, operator, ann, bob, conversation } = await createFixture();
  await using _app = app;
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  for (const id of ['one', 'two']) {
    socket.send(subscribeTo(id, conversation.id));
    await socket.nextOf('next');
  }
  const [listed] = await listConnections(operator);
  const variables = { connectionId: listed?.id, id: 'one' };
  expect(await operator.run(END_SUBSCRIPTION, variables)).toEqual({ endSubscription: 'one' });
  expect(await socket.next()).toMatchObject({
    id: 'one',
    type: 'error',
    payload: [{ extensions: { code: 'UNAVAILABLE', reason: 'OPERATOR' } }],
  });
  expect(await operator.expectError(END_SUBSCRIPTION, variables)).toBe('NOT_FOUND');
  await sendMessage(bob, conversation, 'continues');
  expect(await socket.next()).toMatchObject({
    id: 'two',
    payload: { data: { conversationEvents: { message: { text: 'continues' } } } },
  });
  expect((await findConnection(operator, listed?.id ?? ''))?.subscriptions).toMatchObject([{ id: 'two' }]);
});

test('the subscription of signals ends in the same way, and that of an event stream by a result and complete', async () => {
  const { app, operator, ann, conversation } = await createFixture();
  await using _app = app;
  await using signals = ann.graphql.subscribe('subscription { signals { content } }');
  await expect.poll(async () => (await listConnections(operator))[0]?.subscriptionCount).toBe(1);
  using stream = await openEventStream(app.url, {
    query: CHAT,
    variables: { id: conversation.id },
    token: ann.token,
  });
  await stream.readUntil(/StreamLive/);
  for (const { id: connectionId, subscriptions } of await listConnections(operator))
    await operator.run(END_SUBSCRIPTION, { connectionId, id: subscriptions[0]?.id });
  expect(await signals.waitForEnd()).toMatchObject([
    { extensions: { code: 'UNAVAILABLE', reason: 'OPERATOR' } },
  ]);
  expect(await stream.readUntil(/event: complete/)).toMatch(/"reason":"OPERATOR".*\n\nevent: complete/s);
});

test('the end of a subscription whose client does not read is sent once it does', async () => {
  const { app, operator, ann, bob, conversation } = await createFixture();
  await using _app = app;
  await using slow = await openGraphqlSocket(app.url, { token: ann.token });
  slow.send(subscribeTo('1', conversation.id));
  await slow.nextOf('next');
  slow.socket.pause();
  const text = 'x'.repeat(8_000);
  await expect
    .poll(
      async () => {
        await Promise.all(indexes(50).map(() => sendMessage(bob, conversation, text)));
        return (await listConnections(operator))[0]?.behind;
      },
      { timeout: 30_000 },
    )
    .toBeGreaterThan(50);
  const [listed] = await listConnections(operator);
  await operator.run(END_SUBSCRIPTION, { connectionId: listed?.id, id: '1' });
  expect((await listConnections(operator))[0]).toMatchObject({ behind: 0, subscriptionCount: 0 });
  slow.socket.resume();
  expect(await slow.nextOf('error')).toMatchObject({ payload: [{ extensions: { reason: 'OPERATOR' } }] });
});

test('a room of a Socket.IO client cannot be ended without its connection', async () => {
  const { app, operator, ann, conversation } = await createFixture();
  await using _app = app;
  await using legacy = await ann.connectLegacy();
  await legacy.push('join_conversation', { conversation_id: conversation.legacyId });
  const [listed] = await listConnections(operator);
  const end = (id: string) => operator.expectError(END_SUBSCRIPTION, { connectionId: listed?.id, id });
  expect(await end(listed?.subscriptions[0]?.id ?? '')).toBe('INVALID_INPUT');
  expect(await end('conversation:99')).toBe('NOT_FOUND');
});

test('all connections of an account end, and those of others continue', async () => {
  const { app, operator, ann, bob } = await createFixture();
  await using _app = app;
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  await using legacy = await ann.connectLegacy();
  // GraphiQL sends a token with each operation.
  await using ofOperation = await openGraphqlSocket(app.url, {});
  ofOperation.send({
    id: '1',
    type: 'subscribe',
    payload: {
      query: 'subscription { inboxEvents { __typename } }',
      extensions: { headers: { authorization: `Bearer ${ann.token}` } },
    },
  });
  await ofOperation.nextOf('next');
  await using other = await openGraphqlSocket(app.url, { token: bob.token });
  const { endAccountConnections } = await operator.run<{ endAccountConnections: unknown }>(
    `mutation { endAccountConnections(accountId: "${ann.id}") { count unreachableNodes } }`,
  );
  expect(endAccountConnections).toEqual({ count: 3, unreachableNodes: [] });
  expect(await socket.waitForClose()).toEqual({ code: 1012, reason: 'OPERATOR' });
  await legacy.waitForDisconnect();
  expect(await ofOperation.waitForClose()).toMatchObject({ code: 1012 });
  other.send({ type: 'ping' });
  await other.nextOf('pong');
});

test('ends are counted and logged with their reason, and recorded in the audit log', async () => {
  const { app, operator, ann } = await createFixture();
  await using _app = app;
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  const [listed] = await listConnections(operator);
  await operator.run(`mutation { endConnection(id: "${listed?.id}", reason: "too slow") { id } }`);
  await socket.waitForClose();
  const metrics = async () => (await fetch(`${app.url}/metrics`)).text();
  await expect
    .poll(metrics)
    .toContain('parley_connection_ends_total{transport="graphql-ws",reason="OPERATOR"} 1');
  expect(await operator.run('{ auditLog { nodes { action arguments reason outcome } } }')).toEqual({
    auditLog: {
      nodes: [{ action: 'endConnection', arguments: { id: listed?.id }, reason: 'too slow', outcome: 'OK' }],
    },
  });
});

test('the only node of an embedded database describes itself', async () => {
  const { app, operator, ann } = await createFixture();
  await using _app = app;
  await using _socket = await openGraphqlSocket(app.url, { token: ann.token });
  await using _legacy = await ann.connectLegacy({ transports: ['polling'] });
  const { nodes } = await operator.run<{ nodes: unknown[] }>(
    '{ nodes { id name version isReachable address bus degradation logLag eventLoopDelayMs connections { transport protocol client count } } }',
  );
  expect(nodes).toMatchObject([
    {
      name: null,
      version: expect.stringMatching(/^\d+\.\d+\.\d+/) as unknown,
      isReachable: true,
      address: app.url,
      degradation: null,
      logLag: 0,
      eventLoopDelayMs: expect.any(Number) as unknown,
      connections: [
        { transport: 'GRAPHQL_WS', protocol: 'graphql-transport-ws', client: null, count: 1 },
        { transport: 'SOCKET_IO', protocol: 'Engine.IO 4, polling', client: 'js 3.x-4.x', count: 1 },
      ],
    },
  ]);
});
