import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { createGateway } from '../../src/testing/index.ts';
import type { GatewayOptions } from '../../src/testing/index.ts';
import { openTestDatabase } from '../harness/database.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { isMissing } from '../harness/installed-programs.ts';
import {
  END_SUBSCRIPTION,
  endConnection,
  findConnection,
  listConnections,
  listPage,
} from '../harness/live-connections.ts';
import { indexes } from '../harness/numbers.ts';
import { createOperator } from '../harness/operator.ts';
import type { Operator } from '../harness/operator.ts';
import { PROGRAM_ENV, SERVER_COMMAND, startProgram, waitUntilListening } from '../harness/program.ts';
import { startRedis } from '../harness/redis.ts';

// Operators ask one node about the connections of all. The embedded database serves one node only.

const AUTH_SECRET = 'shared by both nodes';

const INBOX = {
  id: '1',
  type: 'subscribe',
  payload: { query: 'subscription { inboxEvents { __typename } }' },
};

/** Starts two nodes on one database, and creates an account with connections to the second. */
async function startTwoNodes(env: GatewayOptions['env'], stack: AsyncDisposableStack) {
  const database = await openTestDatabase();
  const start = async (name: string) =>
    stack.use(await createGateway({ database, env: { AUTH_SECRET, NODE_NAME: name, ...env } }));
  const [one, two] = [await start('one'), await start('two')];
  return { database, one, two, ann: await one.createAccount(), operator: createOperator(one.url) };
}

interface Node {
  readonly name: string | null;
  readonly isReachable: boolean;
  readonly bus: string | null;
  readonly connections: readonly { readonly count: number }[];
}

async function listNodes(operator: Operator): Promise<readonly Node[]> {
  const { nodes } = await operator.run<{ nodes: Node[] }>(
    '{ nodes { name isReachable bus connections { count } } }',
  );
  return nodes;
}

/** Expects that the first node lists and ends what is connected to the second. */
async function expectClusterWide(env: GatewayOptions['env']): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const { one, two, ann, operator } = await startTwoNodes(env, stack);
  const socket = stack.use(await openGraphqlSocket(two.url, { token: ann.token }));
  socket.send(INBOX);
  await socket.nextOf('next');
  // A connection that is upgraded between two queries differs in them.
  const legacy = stack.use(await two.connectLegacy({ transports: ['websocket'] }));
  const others = indexes(40).map(() => openGraphqlSocket(two.url, { token: ann.token }));
  for (const other of await Promise.all(others)) stack.use(other);
  stack.use(await openGraphqlSocket(one.url, { token: ann.token }));

  const listed = await listConnections(operator);
  expect(listed).toHaveLength(43);
  expect(listed[0]).toMatchObject({ nodeName: 'two', account: ann.id, subscriptions: [{ id: '1' }] });
  expect(listed.at(-1)).toMatchObject({ nodeName: 'one' });
  const [first] = listed;
  const byTheOther = await listConnections(createOperator(two.url));
  expect(byTheOther).toEqual(listed);
  const ids: string[] = [];
  for (let after = '', hasMore = true; hasMore;) {
    const { nodes, pageInfo } = await listPage(operator, `first: 10, after: "${after}"`);
    ids.push(...nodes.map(({ id }) => id));
    [after, hasMore] = [pageInfo.endCursor ?? '', pageInfo.hasNextPage];
  }
  expect(ids).toEqual(listed.map(({ id }) => id));

  expect(await listNodes(operator)).toMatchObject([
    { name: 'one', isReachable: true, bus: 'CONNECTED', connections: [{ count: 1 }] },
    { name: 'two', isReachable: true, bus: 'CONNECTED', connections: [{ count: 41 }, { count: 1 }] },
  ]);

  expect(await operator.run(END_SUBSCRIPTION, { connectionId: first?.id, id: '1' })).toEqual({
    endSubscription: '1',
  });
  expect(await socket.nextOf('error')).toMatchObject({ payload: [{ extensions: { reason: 'OPERATOR' } }] });
  expect(await endConnection(operator, first?.id ?? '')).toMatchObject({ nodeName: 'two' });
  expect(await socket.waitForClose()).toEqual({ code: 1012, reason: 'OPERATOR' });
  const ofLegacy = listed.find(({ transport }) => transport === 'SOCKET_IO');
  await endConnection(operator, ofLegacy?.id ?? '');
  await legacy.waitForDisconnect();
  expect(await operator.expectError('mutation { endConnection(id: "ws-0-1") { id } }')).toBe('NOT_FOUND');
  expect(
    await operator.run(
      `mutation { endAccountConnections(accountId: "${ann.id}") { count unreachableNodes } }`,
    ),
  ).toEqual({ endAccountConnections: { count: 41, unreachableNodes: [] } });
}

describe.skipIf(inject('database') !== 'postgres')('a node that is asked about another one', () => {
  test('answers over LISTEN and NOTIFY', async () => {
    await expectClusterWide({});
  });

  test('answers about a connection with many long texts', async () => {
    await using stack = new AsyncDisposableStack();
    const { two, ann, operator } = await startTwoNodes({}, stack);
    const socket = stack.use(await openGraphqlSocket(two.url, { token: ann.token }));
    // Six bytes of each on the bus.
    const id = (index: number): string => `${index}`.padEnd(250, 'é');
    for (const index of indexes(1_000)) socket.send({ ...INBOX, id: id(index) });
    for (const _index of indexes(1_000)) await socket.nextOf('next');
    const { nodes, unreachableNodes } = await listPage(operator);
    expect(unreachableNodes).toEqual([]);
    expect(nodes).toMatchObject([{ nodeName: 'two', subscriptionCount: 1_000 }]);
    const connectionId = nodes[0]?.id ?? '';
    expect(await findConnection(operator, connectionId)).toMatchObject({ subscriptionCount: 1_000 });
    expect(await operator.run(END_SUBSCRIPTION, { connectionId, id: id(7) })).toEqual({
      endSubscription: id(7),
    });
    expect(await endConnection(operator, connectionId)).toMatchObject({ subscriptionCount: 999 });
  });

  test('answers without a node that has stopped', async () => {
    await using stack = new AsyncDisposableStack();
    const { two, operator } = await startTwoNodes({ PRESENCE_GRACE_MS: '5000' }, stack);
    expect(await listNodes(operator)).toHaveLength(2);
    await two[Symbol.asyncDispose]();
    expect(await listNodes(operator)).toMatchObject([{ name: 'one' }]);
    expect(await operator.expectError('mutation { endConnection(id: "ws-0-1") { id } }')).toBe('NOT_FOUND');
  });

  test('answers with nodes whose heartbeats are late, and with missing ones as unreachable', async () => {
    await using stack = new AsyncDisposableStack();
    const { two, ann, operator, database } = await startTwoNodes({}, stack);
    const socket = stack.use(await openGraphqlSocket(two.url, { token: ann.token }));
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    stack.defer(() => client.end());
    // As after an outage of the database, and as before the survivors of a crash have removed a node.
    await client.query("insert into nodes (id, seen_at, log_version) values ('missing', now(), 1)");
    await client.query("update nodes set seen_at = seen_at - interval '16 seconds'");
    expect(await listPage(operator)).toMatchObject({
      nodes: [{ nodeName: 'two' }],
      unreachableNodes: ['missing'],
    });
    await client.query("delete from nodes where id = 'missing'");
    await client.query("update nodes set seen_at = seen_at - interval '16 seconds'");
    expect(
      await operator.run(
        `mutation { endAccountConnections(accountId: "${ann.id}") { count unreachableNodes } }`,
      ),
    ).toEqual({ endAccountConnections: { count: 1, unreachableNodes: [] } });
    expect(await socket.waitForClose()).toEqual({ code: 1012, reason: 'OPERATOR' });
  });

  test('reports one that does not run, within a bounded time', async () => {
    const database = await openTestDatabase();
    await using one = await createGateway({ database, env: { AUTH_SECRET, NODE_NAME: 'one' } });
    const env = {
      ...PROGRAM_ENV,
      DATABASE_URL: database.url ?? '',
      AUTH_SECRET,
      PORT: '0',
      NODE_NAME: 'two',
    };
    await using two = startProgram(SERVER_COMMAND, { ...env, LOG_LEVEL: 'info' });
    const twoUrl = await waitUntilListening(two.child);
    const ann = await one.createAccount();
    await using socket = await openGraphqlSocket(twoUrl, { token: ann.token });
    await using _own = await openGraphqlSocket(one.url, { token: ann.token });
    const operator = createOperator(one.url);
    const ofTwo = (await listConnections(operator)).find(({ nodeName }) => nodeName === 'two');
    two.child.kill('SIGSTOP');
    const nodes = await listNodes(operator);
    expect(nodes).toMatchObject([
      { name: 'one', isReachable: true },
      { name: 'two', isReachable: false, bus: null },
    ]);
    expect(await listPage(operator)).toMatchObject({
      nodes: [{ nodeName: 'one' }],
      unreachableNodes: [ofTwo?.node],
    });
    const { errors } = await operator.send('mutation ($id: ID!) { endConnection(id: $id) { id } }', {
      id: ofTwo?.id,
    });
    expect(errors).toMatchObject([
      {
        message: expect.stringContaining(`two (${ofTwo?.node})`) as unknown,
        extensions: { code: 'UNAVAILABLE' },
      },
    ]);
    two.child.kill('SIGCONT');
    await expect
      .poll(async () => (await listNodes(operator)).every(({ isReachable }) => isReachable))
      .toBe(true);
    // The first end may have reached it meanwhile, or was lost with its connection for notifications.
    await operator.send('mutation ($id: ID!) { endConnection(id: $id) { id } }', { id: ofTwo?.id });
    expect(await socket.waitForClose()).toEqual({ code: 1012, reason: 'OPERATOR' });
  });
});

describe.skipIf(inject('database') !== 'postgres' || isMissing('redis-server'))(
  'a node that is asked about another one, with Redis',
  () => {
    test('answers', async () => {
      await using redis = await startRedis();
      await expectClusterWide({ DATABASE_URL: 'postgres://given', REDIS_URL: redis.url });
    });

    test.each(['stop', 'suspend'] as const)('reports it while Redis is unavailable (%s)', async (outage) => {
      await using redis = await startRedis();
      await using stack = new AsyncDisposableStack();
      const env = { DATABASE_URL: 'postgres://given', REDIS_URL: redis.url };
      const { operator } = await startTwoNodes(env, stack);
      if (outage === 'stop') await redis.stop();
      else redis.suspend();
      await expect
        .poll(() => listNodes(operator), { timeout: 20_000 })
        .toMatchObject([
          { name: 'one', isReachable: true, bus: 'DISCONNECTED' },
          { name: 'two', isReachable: false, bus: null },
        ]);
      expect((await listPage(operator)).unreachableNodes).toHaveLength(1);
      if (outage === 'stop') await redis.start();
      else redis.resume();
      await expect
        .poll(() => listNodes(operator), { timeout: 20_000 })
        .toMatchObject([
          { isReachable: true, bus: 'CONNECTED' },
          { isReachable: true, bus: 'CONNECTED' },
        ]);
    });
  },
);
