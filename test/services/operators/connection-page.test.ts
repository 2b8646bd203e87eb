import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ActorKey } from '../../../src/actor.ts';
import type { LiveConnection } from '../../../src/live-connections.ts';
import { asciiJson } from '../../../src/lib/ascii-json.ts';
import { comparePlaces, mergePages } from '../../../src/services/operators/connection-page.ts';
import type { ConnectionPlace, ConnectionQuery } from '../../../src/services/operators/connection-page.ts';
import { NodeConnections } from '../../../src/services/operators/node-connections.ts';
import { indexes } from '../../harness/numbers.ts';

interface Values {
  readonly id: string;
  readonly openedAt: number;
  readonly behind: number;
  readonly subscriptions?: number;
  readonly account?: ActorKey;
  /** Before the number of a subscription. */
  readonly prefix?: string;
}

const createConnection = ({ subscriptions = 0, prefix = '', ...values }: Values): LiveConnection => ({
  transport: 'graphql-ws',
  protocol: 'graphql-transport-ws',
  client: undefined,
  address: '192.0.2.1',
  account: undefined,
  waitingBytes: 0,
  ...values,
  subscriptions: () =>
    indexes(subscriptions).map((id) => ({
      id: `${prefix}${id}`,
      topic: `circle:${id}`,
      operation: 'subscription',
      behind: id,
    })),
  isOf: (account) => account === values.account,
  end: () => undefined,
  endSubscription: () => false,
});

function createNode(nodeId: string, connections: readonly Values[], maxPageLength?: number): NodeConnections {
  const node = new NodeConnections({ nodeId, ...(maxPageLength !== undefined && { maxPageLength }) });
  node.add(() => connections.map(createConnection));
  return node;
}

/** Reads all pages of a cluster. Returns the ids, and the sizes of the pages. */
async function readAll(nodes: readonly NodeConnections[], query: Omit<ConnectionQuery, 'after'>) {
  const ids: string[] = [];
  let after: ConnectionPlace | undefined;
  for (;;) {
    const pages = await Promise.all(nodes.map((node) => node.page({ ...query, after })));
    const { connections, hasMore } = mergePages(pages, query.first);
    expect(connections.length).toBeLessThanOrEqual(query.first);
    ids.push(...connections.map(({ place }) => place.id));
    after = connections.at(-1)?.place;
    if (!hasMore) return ids;
    expect(connections.length).toBeGreaterThan(0);
  }
}

const nodesOf = fc.array(
  fc.array(fc.record({ openedAt: fc.nat(20), behind: fc.nat(20), subscriptions: fc.nat(3) }), {
    maxLength: 15,
  }),
  { maxLength: 4 },
);

test('the pages of several nodes contain each connection once, in order, even if a node returns fewer', async () => {
  await fc.assert(
    fc.asyncProperty(
      nodesOf,
      fc.integer({ min: 1, max: 6 }),
      fc.constantFrom('SINCE' as const, 'BEHIND' as const),
      fc.constantFrom(1, 700, undefined),
      async (contents, first, orderBy, maxPageLength) => {
        const values = contents.map((node, nodeIndex) =>
          node.map((value, index) => ({ ...value, id: `${nodeIndex}-${index}` })),
        );
        const nodes = values.map((node, index) => createNode(String(index), node, maxPageLength));
        const expected = values
          .flat()
          .map(({ id, openedAt, behind }) => ({ id, value: orderBy === 'SINCE' ? openedAt : -behind }))
          .sort(comparePlaces)
          .map(({ id }) => id);
        expect(await readAll(nodes, { first, orderBy })).toEqual(expected);
      },
    ),
  );
});

test('a list has the subscriptions of the topic, and then those that are furthest behind', async () => {
  const node = createNode('one', [{ id: 'a', openedAt: 1, behind: 0, subscriptions: 30 }]);
  const { connections } = await node.page({
    first: 1,
    orderBy: 'SINCE',
    after: undefined,
    topic: 'circle:3',
  });
  expect(connections[0]?.subscriptionCount).toBe(30);
  expect(connections[0]?.subscriptions.map(({ id }) => id).slice(0, 3)).toEqual(['3', '29', '28']);
  expect(connections[0]?.subscriptions).toHaveLength(20);
  expect((await node.find('a'))?.subscriptions).toHaveLength(30);
});

test('replies are bounded by what the bus carries, whatever texts clients have chosen', async () => {
  const prefix = 'é'.repeat(250);
  const values = indexes(100).map((index) => ({
    id: `c${index}`,
    openedAt: index,
    behind: 0,
    subscriptions: 1_000,
    prefix,
  }));
  const node = createNode('one', values);
  const maxLength = 300 * 1024;
  const page = await node.page({ first: 100, orderBy: 'SINCE', after: undefined });
  expect(asciiJson(JSON.stringify(page)).length).toBeLessThan(maxLength);
  expect(page.hasMore).toBe(true);
  expect(page.connections[0]?.subscriptions).toHaveLength(20);
  const found = await node.find('c3');
  expect(asciiJson(JSON.stringify(found)).length).toBeLessThan(maxLength);
  expect(found?.subscriptions.length).toBeGreaterThan(100);
  expect(found?.subscriptionCount).toBe(1_000);
  expect(await readAll([node], { first: 100, orderBy: 'SINCE' })).toHaveLength(100);
});

test('a search through many connections leaves the event loop to others', async () => {
  const node = createNode(
    'one',
    indexes(100_000).map((index) => ({ id: String(index), openedAt: index, behind: index })),
  );
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 1);
  const { connections } = await node.page({ first: 2, orderBy: 'BEHIND', after: undefined });
  clearInterval(timer);
  expect(connections.map(({ behind }) => behind)).toEqual([99_999, 99_998]);
  expect(turns).toBeGreaterThan(1);
});
