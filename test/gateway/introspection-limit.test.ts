import { getIntrospectionQuery } from 'graphql';
import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';

const many = (count: number, field: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => field(index)).join(' ');

const BOMB = `{ __schema { ${many(30, (n) => `a${n}: types { ...X }`)} } }
  fragment X on __Type { ${many(30, (n) => `b${n}: fields { ...Y }`)} }
  fragment Y on __Field { ${many(30, (n) => `c${n}: name`)} }`;

test('introspection with multiplying lists is refused in every form, and the standard introspection query is not', async () => {
  await using app = await startTestApp();
  expect(await app.graphql.expectError(BOMB)).toBe('LIMIT_EXCEEDED');
  const inFragment = BOMB.replace('{ __schema', '{ ...Z } fragment Z on Query { __schema');
  expect(await app.graphql.expectError(inFragment)).toBe('LIMIT_EXCEEDED');
  const standard = getIntrospectionQuery({
    descriptions: true,
    specifiedByUrl: true,
    directiveIsRepeatable: true,
    schemaDescription: true,
    inputValueDeprecation: true,
  });
  expect(await app.graphql.run(standard)).toHaveProperty('__schema');
});
