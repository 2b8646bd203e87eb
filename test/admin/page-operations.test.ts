import { readFileSync, readdirSync } from 'node:fs';
import { buildSchema, parse, printSchema, validate } from 'graphql';
import { expect, test } from 'vitest';
import { schema } from '../../src/admin/index.ts';

const FOLDER = new URL('../../src/page/admin/', import.meta.url);

/** Returns the GraphQL documents in the scripts of the operators' page. */
const documents = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.js'))
  .flatMap((name) => {
    const text = readFileSync(new URL(name, FOLDER), 'utf8');
    return [...text.matchAll(/(['`])((?:query|mutation) [^]*?)\1/g)].map((match) => match[2] ?? '');
  });

test('the page of operators sends operations that the schema has', () => {
  expect(documents.length).toBeGreaterThan(8);
  for (const document of documents) expect(validate(schema, parse(document)), document).toEqual([]);
});

test('the printed schema of operators can be read by tools', () => {
  expect(() => buildSchema(printSchema(schema))).not.toThrow();
});
