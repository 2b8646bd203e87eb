import { getIntrospectionQuery } from 'graphql';
import { expect, test } from 'vitest';
import { range } from '../harness/numbers.ts';
import { selectFields } from './selection.ts';
import { openSchemaClient } from './schema-client.ts';

test('a selection of every scalar of every event type is within the limit', async () => {
  await using client = await openSchemaClient();
  const ann = await client.createUser('Ann');
  const { createCircle } = await client.run(ann, 'mutation { createCircle(name: "A") { id } }');
  const stream = await client.subscribe(
    ann,
    `subscription ($id: ID!) { circleEvents(circleId: $id) { ${selectFields('Event', 2)} } }`,
    { id: createCircle.id },
  );
  expect((await stream.next()).value).toMatchObject({ data: { circleEvents: { __typename: 'StreamLive' } } });
  await stream.return(undefined);
});

test('the standard introspection query is within the limit', async () => {
  await using client = await openSchemaClient();
  const { __schema } = await client.run(null, getIntrospectionQuery());
  expect(__schema.types.length).toBeGreaterThan(40);
});

test('an operation that is too complex is rejected before it has any effect', async () => {
  await using client = await openSchemaClient();
  const ann = await client.createUser('Ann');
  const tooComplex =
    'circles(first: 100) { nodes { conversations(first: 100) { nodes { messages(first: 100) { nodes { id } } } } } }';
  const limit = { code: 'LIMIT_EXCEEDED', limit: expect.stringContaining('complexity') };
  expect(await client.expectError(ann, `{ ${tooComplex} }`)).toEqual(limit);
  expect(
    await client.expectError(ann, `query ($n: Int) { ${tooComplex.replaceAll('100', '$n')} }`, { n: 100 }),
  ).toEqual(limit);
  const circle =
    'name conversations(first: 100) { nodes { messages(first: 100) { nodes { media { id url } author { __typename } text } } } }';
  expect(
    await client.expectError(
      ann,
      `mutation { createCircle(name: "A") { members(first: 100) { nodes { circle { ${circle} } } } } }`,
    ),
  ).toEqual(limit);
  expect((await client.run(ann, '{ circles { nodes { id } } }')).circles.nodes).toEqual([]);
});

test('lists of ids and message texts count more than other fields', async () => {
  await using client = await openSchemaClient();
  const ann = await client.createUser('Ann');
  const repeat = (count: number, field: string) =>
    Array.from({ length: count }, (_, index) => `f${index}: ${field}`).join(' ');
  const nodesQuery = (count: number) =>
    `query ($ids: [ID!]!) { ${repeat(count, 'nodes(ids: $ids) { id }')} }`;
  const variables = { ids: Array(100).fill('Circle:1') };
  const limit = { code: 'LIMIT_EXCEEDED', limit: expect.stringContaining('complexity') };
  expect(await client.expectError(ann, nodesQuery(4), variables)).toEqual(limit);
  await client.run(ann, nodesQuery(3), variables);
  const textsQuery = (count: number) =>
    `{ circles(first: 1) { nodes { conversations(first: 1) { nodes { ${repeat(count, 'messages(last: 100) { nodes { text } }')} } } } } }`;
  expect(await client.expectError(ann, textsQuery(200))).toEqual(limit);
  await client.run(ann, textsQuery(100));
  const initialQuery =
    '{ circles { nodes { name conversations { nodes { name messages { nodes { text sentAt author { ... on User { firstName } } } } } } } } }';
  await client.run(ann, initialQuery);
});

test('an operation that is too deep is rejected', async () => {
  await using client = await openSchemaClient();
  const ann = await client.createUser('Ann');
  const nest = (levels: number): string =>
    levels === 0 ? 'id' : `circle { device { ${nest(levels - 1)} } id }`;
  expect(await client.expectError(ann, `{ me { ... on Device { ${nest(8)} } } }`)).toEqual({
    code: 'LIMIT_EXCEEDED',
    limit: expect.stringContaining('depth'),
  });
  await client.run(ann, `{ me { __typename ... on Device { ${nest(7)} } } }`);
});

test('a subscription that is too complex is rejected when it starts', async () => {
  await using client = await openSchemaClient();
  const ann = await client.createUser('Ann');
  const { createCircle } = await client.run(ann, 'mutation { createCircle(name: "A") { id } }');
  const circle =
    'members(first: 100) { nodes { circle { members(first: 100) { nodes { circle { members(first: 100) { nodes { id } } } } } } } }';
  await expect(
    client.subscribe(
      ann,
      `subscription ($id: ID!) { circleEvents(circleId: $id) { ... on CircleUpdated { circle { ${circle} } } } }`,
      {
        id: createCircle.id,
      },
    ),
  ).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
});

test('page sizes and lists of ids are limited to 100', async () => {
  await using client = await openSchemaClient();
  const ann = await client.createUser('Ann');
  const expectErrorOf = (args: string) => client.expectError(ann, `{ circles(${args}) { nodes { id } } }`);
  expect(await expectErrorOf('first: 101')).toMatchObject({ code: 'LIMIT_EXCEEDED', field: 'first' });
  expect(await expectErrorOf('last: 1000000')).toMatchObject({ code: 'LIMIT_EXCEEDED', field: 'last' });
  expect(await expectErrorOf('first: -1')).toMatchObject({ code: 'INVALID_INPUT', field: 'first' });
  expect(await expectErrorOf('last: -1')).toMatchObject({ code: 'INVALID_INPUT', field: 'last' });
  expect(await expectErrorOf('first: 1, last: 1')).toMatchObject({ code: 'INVALID_INPUT', field: 'last' });
  expect(await expectErrorOf('after: "x"')).toMatchObject({ code: 'INVALID_INPUT', field: 'after' });
  expect(await expectErrorOf('before: " "')).toMatchObject({ code: 'INVALID_INPUT', field: 'before' });
  expect(
    await client.expectError(ann, `query ($ids: [ID!]!) { nodes(ids: $ids) { id } }`, {
      ids: Array(101).fill('Circle:1'),
    }),
  ).toMatchObject({ code: 'LIMIT_EXCEEDED', field: 'ids' });
  const { circles: page } = await client.run(ann, '{ circles(first: 100) { nodes { id } } }');
  expect(page.nodes).toEqual([]);
});

test('the number of password hashes in a document is limited', async () => {
  await using client = await openSchemaClient();
  const loginsDocument = (count: number) =>
    `mutation { ${range(1, count)
      .map((n) => `l${n}: login(email: "${n}@example.com", password: "x") { token }`)
      .join(' ')} }`;
  expect(await client.expectError(null, loginsDocument(20))).toMatchObject({ code: 'LIMIT_EXCEEDED' });
  expect(await client.expectError(null, loginsDocument(5))).toMatchObject({ code: 'UNAUTHENTICATED' });
});
