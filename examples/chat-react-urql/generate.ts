// Writes src/schema.json, from which the cache knows the types.
import { readFileSync, writeFileSync } from 'node:fs';
import { getIntrospectedSchema, minifyIntrospectionQuery } from '@urql/introspection';
import { buildSchema, introspectionFromSchema } from 'graphql';

const text = readFileSync(new URL(import.meta.resolve('parley/schema.graphql')), 'utf8');
const schema = getIntrospectedSchema(introspectionFromSchema(buildSchema(text)));
writeFileSync('src/schema.json', JSON.stringify(minifyIntrospectionQuery(schema)));
