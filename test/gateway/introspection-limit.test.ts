import { getIntrospectionQuery } from 'graphql';
import { expect, test } from 'vitest';
import { startTestApp } from '../harness/app.ts';

const repeat = (count: number, field: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => field(index)).join(' ');

const BOMB = `{ __schema { ${repeat(30, (n) => `a${n}: types { ...X }`)} } }
  fragment X on __Type { ${repeat(30, (n) => `b${n}: fields { ...Y }`)} }
  fragment Y on __Field { ${repeat(30, (n) => `c${n}: name`)} }`;

test('introspection with multiplying lists is rejected in every form, and the standard introspection query is not', async () => {
  await using app = await startTestApp();
  expect(await app.graphql.expectError(BOMB)).toBe('LIMIT_EXCEEDED');
  const fragmentBomb = BOMB.replace('{ __schema', '{ ...Z } fragment Z on Query { __schema');
  expect(await app.graphql.expectError(fragmentBomb)).toBe('LIMIT_EXCEEDED');
  const aliased = `{ __schema { types { fields { ${repeat(300, (n) => `${'x'.repeat(120)}${n}: name`)} } } } }`;
  expect(await app.graphql.expectError(aliased)).toBe('LIMIT_EXCEEDED');
  const standardQuery = getIntrospectionQuery({
    descriptions: true,
    specifiedByUrl: true,
    directiveIsRepeatable: true,
    schemaDescription: true,
    inputValueDeprecation: true,
  });
  expect(await app.graphql.run(standardQuery)).toHaveProperty('__schema');
});
