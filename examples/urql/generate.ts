// Writes schema.json, from which the cache reads the types.
import { readFile, writeFile } from 'node:fs/promises';
import { getIntrospectedSchema, minifyIntrospectionQuery } from '@urql/introspection';

const text = await readFile(new URL('../../schema.graphql', import.meta.url), 'utf8');
const schema = minifyIntrospectionQuery(getIntrospectedSchema(text));
await writeFile(new URL('schema.json', import.meta.url), JSON.stringify(schema));
