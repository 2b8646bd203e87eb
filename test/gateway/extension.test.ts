import { GraphQLError, GraphQLInt } from 'graphql';
import { expect, test } from 'vitest';
import { ConfigError } from '../../src/config.ts';
import { extendWithFields } from '../../src/schema/extension.ts';
import { readForHost, resolveForHost } from '../../src/schema/host-errors.ts';
import type { SchemaExtension } from '../../src/schema/extension-types.ts';
import { schema } from '../../src/schema/index.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { startHostApp } from '../harness/host-app.ts';

const startExtended = (extension: SchemaExtension) =>
  startHostApp({ schema: extendWithFields(schema, extension) });

test('fields of a host stand beside those of the gateway', async () => {
  await using host = await startExtended({
    typeDefs: `
      type Shop { name: String! isOpen: Boolean! owner: User }
      extend type Query { shop: Shop! now: DateTime! }
      extend type Mutation { visit(shop: String!): User! }
      extend type User { avatarUrl(size: Int = 64): String! }`,
    resolvers: {
      Query: {
        shop: (_root, _args, context) => ({
          name: 'Bakery',
          isOpen: () => true,
          owner: context.node('User:1'),
        }),
        now: { isPublic: true, resolve: () => '2030-01-01T00:00:00.000Z' },
      },
      Mutation: { visit: (_root, _args, context) => context.node(`User:${context.requireActor().id}`) },
      User: { avatarUrl: ({ firstName }, { size }: { size: number }) => `${firstName}-${size}.png` },
    },
  });
  const ann = await host.createClient('Ann');
  expect(await ann.run('{ shop { name isOpen owner { avatarUrl(size: 8) } } }')).toEqual({
    shop: { name: 'Bakery', isOpen: true, owner: { avatarUrl: 'Ann-8.png' } },
  });
  expect(await ann.run('mutation { visit(shop: "Bakery") { avatarUrl } }')).toEqual({
    visit: { avatarUrl: 'Ann-64.png' },
  });
  const send = async (query: string) =>
    (await fetch(`${host.url}/graphql?${new URLSearchParams({ query }).toString()}`)).json();
  expect(await send('{ now }')).toEqual({ data: { now: '2030-01-01T00:00:00.000Z' } });
  expect(await send('{ shop { name } }')).toMatchObject({
    errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
  });
  // The schema of other gateways of the process has no such fields.
  expect(schema.getType('Shop')).toBeUndefined();
});

test('errors of a host keep their code, and others are masked', async () => {
  await using host = await startExtended({
    typeDefs: 'extend type Query { closed: Int broken: Int }',
    resolvers: {
      Query: {
        closed: () => {
          throw new GraphQLError('Closed today.', { extensions: { code: 'CONFLICT' } });
        },
        broken: () => {
          throw new Error('a secret');
        },
      },
    },
  });
  const ann = await host.createClient();
  expect((await ann.send('{ closed }')).errors).toMatchObject([
    { message: 'Closed today.', extensions: { code: 'CONFLICT' } },
  ]);
  expect((await ann.send('{ broken }')).errors).toMatchObject([
    { message: 'Unexpected error.', extensions: { code: 'INTERNAL' } },
  ]);
});

const createOutage = () => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });

/** Errors of a host's services that are outages if the gateway's own database throws them. */
const OUTAGES = [
  createOutage(),
  Object.assign(new Error('shutting down'), { code: '57P01' }),
  Object.assign(new Error('deadlock detected'), { code: '40P01' }),
  new Error('Connection terminated unexpectedly'),
];

test.for(OUTAGES)('an outage of a host is an error of its own: %s', async (outage) => {
  const fail = () => {
    throw outage;
  };
  const reject = () => Promise.reject(outage);
  await using host = await startExtended({
    typeDefs: `
      type Shop { property: Int method: Int asyncMethod: Int }
      extend type Query {
        sync: Int async: Int list: [Int] asyncList: [Int] nestedList: [[Int]] items: [Int] wrapped: Int shop: Shop
      }`,
    resolvers: {
      Query: {
        sync: fail,
        async: reject,
        list: () => [1, reject()],
        asyncList: async () => new Set([reject()]),
        nestedList: () => [[reject()]],
        async *items() {
          yield 1;
          fail();
        },
        wrapped: () => {
          throw new GraphQLError('Closed.', { originalError: outage, extensions: { code: 'CONFLICT' } });
        },
        shop: () => ({
          get property() {
            return fail();
          },
          method: fail,
          asyncMethod: reject,
        }),
      },
    },
  });
  const ann = await host.createClient();
  const fields = ['sync', 'async', 'list', 'asyncList', 'nestedList', 'items'];
  const shopFields = ['property', 'method', 'asyncMethod'].map((name) => `shop { ${name} }`);
  for (const field of [...fields, ...shopFields])
    expect({ field, code: await ann.expectError(`{ ${field} }`) }).toEqual({ field, code: 'INTERNAL' });
  expect(await ann.expectError('{ wrapped }')).toBe('CONFLICT');
});

test('an outage of the gateway in a read for a host stays one', async () => {
  const outage = createOutage();
  const resolve = () => readForHost(Promise.reject(outage));
  await expect(resolveForHost(GraphQLInt, resolve)).rejects.toBe(outage);
});

test.for([false, true])('an outage of a host holds up no events, shareable: %s', async (isShareable) => {
  let calls = 0;
  const resolve = async () => {
    calls += 1;
    throw createOutage();
  };
  await using host = await startExtended({
    typeDefs: 'extend type Circle { label: String }',
    resolvers: { Circle: { label: { isShareable, resolve } } },
  });
  const ann = await host.createClient();
  const { createCircle } = await ann.run<{ createCircle: { id: string } }>(
    'mutation { createCircle(name: "A") { id } }',
  );
  await using socket = await openGraphqlSocket(host.url, { token: ann.token });
  const query = `subscription { circleEvents(circleId: "${createCircle.id}") { __typename ... on CircleUpdated { circle { name label } } } }`;
  socket.send({ id: '1', type: 'subscribe', payload: { query } });
  await socket.nextOf('next');
  for (const name of ['B', 'C']) {
    await ann.run(`mutation { updateCircle(circleId: "${createCircle.id}", name: "${name}") { id } }`);
    expect(await socket.nextOf('next')).toMatchObject({
      payload: {
        data: { circleEvents: { circle: { name, label: null } } },
        errors: [{ extensions: { code: 'INTERNAL' } }],
      },
    });
  }
  expect(calls).toBe(2);
});

/** Subscribes with two accounts to a circle, and returns what each receives of the field in one event, and all calls. */
async function subscribeTwice(isShareable: boolean, resolve: (viewer: () => number | undefined) => string) {
  let calls = 0;
  await using host = await startExtended({
    typeDefs: 'extend type Circle { label: String! }',
    resolvers: {
      Circle: {
        label: {
          isShareable,
          resolve: (_circle, _args, context) => {
            calls += 1;
            return resolve(() => context.actor?.id);
          },
        },
      },
    },
  });
  const [ann, bob] = [await host.createClient('Ann'), await host.createClient('Bob')];
  const { createCircle } = await ann.run<{ createCircle: { id: string } }>(
    'mutation { createCircle(name: "A") { id } }',
  );
  const { inviteToCircle } = await ann.run<{ inviteToCircle: { id: string } }>(
    `mutation { inviteToCircle(circleId: "${createCircle.id}", email: "user-2@example.com") { id } }`,
  );
  await bob.run(`mutation { acceptCircleInvitation(invitationId: "${inviteToCircle.id}") { id } }`);
  const query = `subscription { circleEvents(circleId: "${createCircle.id}") { __typename ... on CircleUpdated { circle { label } } } }`;
  const subscriptions = [ann.subscribe(query), bob.subscribe(query)];
  for (const events of subscriptions) await events.nextOf('StreamLive');
  await ann.run(`mutation { updateCircle(circleId: "${createCircle.id}", name: "B") { id } }`);
  const received = await Promise.all(subscriptions.map((events) => events.nextOf('CircleUpdated')));
  return { calls, labels: received.map((event) => (event as { circle: { label: string } }).circle.label) };
}

test('the value of a field is not shared between subscribers, unless it is shareable', async () => {
  expect(await subscribeTwice(false, (viewer) => `for ${viewer()}`)).toEqual({
    calls: 2,
    labels: ['for 1', 'for 2'],
  });
  expect(await subscribeTwice(true, () => 'for all')).toEqual({ calls: 1, labels: ['for all', 'for all'] });
});

test('a shareable field that reads the caller is not shared', async () => {
  const { labels } = await subscribeTwice(true, (viewer) => `for ${viewer()}`);
  expect(labels).toEqual(['for 1', 'for 2']);
});

test('the limits of operations apply to fields of a host', async () => {
  await using host = await startExtended({
    typeDefs: 'type Leaf { next: [Leaf!]! value: Int! } extend type Query { tree: [Leaf!]! costly: Int! }',
    resolvers: {
      Query: { tree: () => [], costly: { complexity: 400_001, resolve: () => 1 } },
    },
  });
  const ann = await host.createClient();
  expect(await ann.expectError('{ costly }')).toBe('LIMIT_EXCEEDED');
  const nest = (depth: number): string => (depth === 0 ? 'value' : `next { ${nest(depth - 1)} }`);
  expect(await ann.run(`{ tree { ${nest(5)} } }`)).toEqual({ tree: [] });
  expect(await ann.expectError(`{ tree { ${nest(11)} } }`)).toBe('LIMIT_EXCEEDED');
});

test.for<[name: string, extension: SchemaExtension, problem: RegExp]>([
  ['invalid SDL', { typeDefs: 'extend type User {' }, /Syntax Error/],
  ['an unknown type', { typeDefs: 'extend type Users { a: Int }' }, /Cannot extend type "Users"/],
  ['an existing field', { typeDefs: 'extend type User { email: Int }' }, /User\.email/],
  [
    'no resolver',
    { typeDefs: 'extend type User { passwordHash: String }' },
    /User\.passwordHash needs a resolver/,
  ],
  [
    'a resolver without a field',
    { typeDefs: 'type A { a: Int }', resolvers: { User: { avatar: () => 1 } } },
    /typeDefs has no field User\.avatar/,
  ],
  [
    'a resolver of an existing field',
    { typeDefs: 'type A { a: Int }', resolvers: { User: { email: () => 1 } } },
    /User\.email is a field of the gateway/,
  ],
  [
    'a resolver of an own type',
    {
      typeDefs: 'type A { a: Int }',
      resolvers: { A: { a: () => 1 } } as unknown as NonNullable<SchemaExtension['resolvers']>,
    },
    /A is none/,
  ],
  ['a subscription', { typeDefs: 'extend type Subscription { a: Int }' }, /except Subscription/],
  ['an enum of the gateway', { typeDefs: 'extend enum CircleRole { GUEST }' }, /not EnumTypeExtension/],
  ['a directive', { typeDefs: 'directive @a on FIELD' }, /not DirectiveDefinition/],
])('an extension with %s is rejected', ([, extension, problem]) => {
  expect(() => extendWithFields(schema, extension)).toThrow(ConfigError);
  expect(() => extendWithFields(schema, extension)).toThrow(problem);
});
