import { expect, inject, test, vi } from 'vitest';
import {
  createCircle,
  createConversation,
  createDevice,
  createGateway,
  createGraphqlClient,
} from '../../src/testing/index.ts';
import type { TestAccount, TestGateway } from '../../src/testing/index.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { openTestDatabase } from '../harness/database.ts';
import { openEventStream } from '../harness/event-stream.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { createOperator } from '../harness/operator.ts';

const BLOCK = /* GraphQL */ `
  mutation Block($id: ID!, $until: DateTime) {
    blockAccount(accountId: $id, until: $until, reason: "spam") {
      id
      isOnline
      connectionCount
      block {
        until
        reason
        blockedAt
      }
    }
  }
`;
const UNBLOCK = 'mutation ($id: ID!) { unblockAccount(accountId: $id) { id block { until } } }';
const INBOX = 'subscription { inboxEvents { __typename } }';
const LOGIN =
  'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { token } }';

/** Starts two nodes on PostgreSQL, or one on the embedded database, which has only one. */
async function startNodes() {
  const database = await openTestDatabase();
  const options = { database, env: { AUTH_SECRET: 'shared by both nodes' } };
  const stack = new AsyncDisposableStack();
  const one = stack.use(await createGateway(options));
  const two = inject('database') === 'postgres' ? stack.use(await createGateway(options)) : one;
  return { one, two, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Opens connections of the account on a node, over every transport. Returns promises for how each ends. */
async function openConnections(node: TestGateway, { token }: TestAccount, stack: AsyncDisposableStack) {
  const socket = stack.use(await openGraphqlSocket(node.url, { token }));
  socket.send({ id: '1', type: 'subscribe', payload: { query: INBOX } });
  await socket.nextOf('next');
  const events = stack.use(await openEventStream(node.url, { query: INBOX, token }));
  await events.readUntil(/StreamLive/);
  const legacy = stack.use(await node.connectLegacy());
  await legacy.push('authenticate', { token });
  return {
    socketError: socket.nextOf('error'),
    socketClose: socket.waitForClose(),
    eventsEnd: events.readUntil(/event: complete/),
    legacyError: legacy.expect('error'),
    legacyEnd: legacy.waitForDisconnect(),
  };
}

test('blocking ends the connections of the account on every transport and node', async () => {
  await using nodes = await startNodes();
  await using stack = new AsyncDisposableStack();
  const ann = await nodes.one.createAccount();
  const ends = [];
  for (const node of [nodes.one, nodes.two]) ends.push(await openConnections(node, ann, stack));
  const { blockAccount } = await createOperator(nodes.two.url).run<{ blockAccount: object }>(BLOCK, {
    id: ann.id,
  });
  expect(blockAccount).toMatchObject({ id: ann.id, block: { until: null, reason: 'spam' } });
  for (const end of ends) {
    expect(await end.socketError).toMatchObject({
      payload: [{ extensions: { code: 'UNAUTHENTICATED', reason: 'LOGGED_OUT' } }],
    });
    expect(await end.socketClose).toMatchObject({ code: 4401 });
    expect(await end.eventsEnd).toContain('"reason":"LOGGED_OUT"');
    expect(await end.legacyError).toBe('User not found');
    await end.legacyEnd;
  }
});

test('a blocked account gets in nowhere, with any token', async () => {
  await using nodes = await startNodes();
  const ann = await nodes.one.createAccount({ password: 'correct horse' });
  const bob = await nodes.one.createAccount();
  const circle = await createCircle(ann, bob);
  const conversation = await createConversation(ann, circle, bob);
  const sent = await sendMessage(ann, conversation, 'hello', ['photo.png']);
  const media = sent.sendMessage.media[0]?.legacyId ?? 0;
  const device = await createDevice(nodes.one, ann, circle);
  const operator = createOperator(nodes.one.url);
  for (const account of [ann, device]) await operator.run(BLOCK, { id: account.id });

  for (const { token } of [ann, device]) {
    const headers = { authorization: `Bearer ${token}` };
    for (const { url, connectLegacy } of [nodes.one, nodes.two]) {
      await using client = createGraphqlClient(url, token);
      expect(await client.expectError('{ me { __typename } }')).toBe('UNAUTHENTICATED');
      expect(await client.expectError('mutation { refreshToken { token } }')).toBe('UNAUTHENTICATED');
      await using socket = await openGraphqlSocket(url);
      socket.send({ type: 'connection_init', payload: { token } });
      expect(await socket.waitForClose()).toMatchObject({ code: 4403 });
      using events = await openEventStream(url, { query: INBOX, token });
      expect(await events.readUntil(/errors/)).toContain('UNAUTHENTICATED');
      await using legacy = await connectLegacy();
      expect(await legacy.expectError('authenticate', { token })).toBe('User not found');
      const body = new FormData();
      body.set('file', new Blob(['content']), 'photo.png');
      const upload = await fetch(`${url}/media/upload/${media}`, { method: 'POST', headers, body });
      expect([upload.status, await upload.json()]).toMatchObject([
        401,
        { success: false, message: 'Token invalide, authentifiez vous a nouveau' },
      ]);
      expect((await fetch(`${url}/media/${media}`, { headers })).status).toBe(401);
    }
  }
  await using anonymous = createGraphqlClient(nodes.two.url);
  const login = (password: string) => anonymous.expectError(LOGIN, { email: ann.login, password });
  expect([await login('wrong horse'), await login('correct horse')]).toEqual([
    'UNAUTHENTICATED',
    'FORBIDDEN',
  ]);

  await operator.run(UNBLOCK, { id: ann.id });
  const { login: renewed } = await anonymous.run<{ login: { token: string } }>(LOGIN, {
    email: ann.login,
    password: 'correct horse',
  });
  await using again = createGraphqlClient(nodes.two.url, renewed.token);
  expect(await again.run('{ me { __typename } }')).toEqual({ me: { __typename: 'User' } });
});

test('a blocked account is offline and unreachable to others', async () => {
  await using nodes = await startNodes();
  const ann = await nodes.one.createAccount();
  const bob = await nodes.one.createAccount();
  await createCircle(ann, bob);
  await using legacy = await ann.connectLegacy();
  await using signals = ann.graphql.subscribe('subscription { signals { content } }');
  const call = () =>
    bob.graphql.send('mutation ($id: ID!) { sendSignal(to: { userId: $id }, content: "hi") }', {
      id: ann.id,
    });
  await vi.waitFor(async () => expect((await call()).errors).toBeUndefined());
  const operator = createOperator(nodes.two.url);
  await operator.run(BLOCK, { id: ann.id });
  expect((await call()).errors?.[0]?.extensions?.['code']).toBe('UNREACHABLE');
  await legacy.waitForDisconnect();
  await signals.waitForEnd();
  await vi.waitFor(async () =>
    expect(
      await operator.run('query ($id: ID!) { account(id: $id) { isOnline connectionCount } }', {
        id: ann.id,
      }),
    ).toEqual({ account: { isOnline: false, connectionCount: 0 } }),
  );
});

test('operators find accounts by id and by e-mail address', async () => {
  await using nodes = await startNodes();
  const ann = await nodes.one.createAccount({ email: 'Ann@example.com', firstName: 'Ann', lastName: 'Lee' });
  const device = await createDevice(nodes.one, ann, await createCircle(ann));
  await using legacy = await ann.connectLegacy();
  const operator = createOperator(nodes.two.url);
  const fields = '{ id kind login name createdAt isOnline connectionCount block { reason } }';
  const found = await operator.run(
    `query ($device: ID!) {
      byId: account(id: "${ann.id}") ${fields}
      byEmail: accountByEmail(email: "aNN@example.com") ${fields}
      device: account(id: $device) { id kind login name block { reason } }
      unknown: account(id: "User:99999") { id }
      missing: accountByEmail(email: "missing@example.com") { id }
    }`,
    { device: device.id },
  );
  const expected = {
    id: ann.id,
    kind: 'USER',
    login: 'Ann@example.com',
    name: 'Ann Lee',
    createdAt: expect.any(String) as string,
    isOnline: true,
    connectionCount: 1,
    block: null,
  };
  expect(found).toEqual({
    byId: expected,
    byEmail: expected,
    device: { id: device.id, kind: 'DEVICE', login: device.login, name: 'Kitchen', block: null },
    unknown: null,
    missing: null,
  });
  expect(legacy.pending()).toEqual([]);
  for (const query of ['{ account(id: "Circle:1") { id } }', '{ accountByEmail(email: "ann") { id } }'])
    expect(await operator.expectError(query)).toBe('INVALID_INPUT');
});

test.for([
  ['2100-01-01T00:00:00Z', '2100-01-01T00:00:00.000Z'],
  ['2100-01-01T02:00:00+02:00', '2100-01-01T00:00:00.000Z'],
  ['2100-01-01T00:00:00.250Z', '2100-01-01T00:00:00.250Z'],
] as const)('a block until %s ends at %s', async ([until, stored]) => {
  await using gateway = await createGateway();
  const { id } = await gateway.createAccount();
  const blocked = await createOperator(gateway.url).run(BLOCK, { id, until });
  expect(blocked).toMatchObject({ blockAccount: { block: { until: stored } } });
});
