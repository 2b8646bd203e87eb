import {
  getNamedType,
  isAbstractType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
} from 'graphql';
import type { GraphQLNamedType, GraphQLType } from 'graphql';
import { expect, test } from 'vitest';
import { schema } from '../../src/schema/index.ts';

const own = Object.values(schema.getTypeMap()).filter(
  (type) => !isIntrospectionType(type) && !['String', 'Int', 'Float', 'Boolean', 'ID'].includes(type.name),
);

/** Yields the type, its fields, arguments and values with their descriptions. */
function* partsOf(type: GraphQLNamedType): Generator<[name: string, description: string | null | undefined]> {
  yield [type.name, type.description];
  if (isEnumType(type))
    for (const value of type.getValues()) yield [`${type.name}.${value.name}`, value.description];
  if (!isObjectType(type) && !isInterfaceType(type) && !isInputObjectType(type)) return;
  for (const field of Object.values(type.getFields())) {
    yield [`${type.name}.${field.name}`, field.description];
    if ('args' in field) {
      for (const arg of field.args) yield [`${type.name}.${field.name}(${arg.name}:)`, arg.description];
    }
  }
}

const parts = own.flatMap((type) => [...partsOf(type)]);

/** Settings of the server that a description may name. */
const SETTINGS = /^(SIGN_UP|PASSWORD_LOGIN|MAX_UPLOAD_BYTES)$/;

test('everything in the schema has a description, in sentences', () => {
  expect(parts.length).toBeGreaterThan(400);
  const bad = parts.filter(([, description]) => !/^[A-Z`][^]*[.]$/.test(description ?? ''));
  expect(bad).toEqual([]);
});

test('no description begins with a relative clause', () => {
  expect(
    parts.filter(([, description]) => /^(What|Who|Whom|Whose|Whoever|Of)\b/.test(description ?? '')),
  ).toEqual([]);
});

test('every mutation and subscription ends with its errors', () => {
  const operations = parts.filter(([name]) => /^(Mutation|Subscription)\.\w+$/.test(name));
  expect(operations.length).toBeGreaterThan(35);
  const bad = operations.filter(
    ([, description]) => !/ Errors: [A-Z_]+(, [A-Z_]+)*\.$/.test(description ?? ''),
  );
  expect(bad).toEqual([]);
});

test('descriptions use the terms of the GraphQL API, not of the legacy one', () => {
  const legacyWords = /\b(room|frame|privilege|writing)\b/;
  expect(parts.filter(([, description]) => legacyWords.test(description ?? ''))).toEqual([]);
});

test('every error code in a description is in the list of codes', async () => {
  const { ERROR_CODES } = await import('../../src/errors.ts');
  const named = parts.flatMap(([, description]) => description?.match(/\b[A-Z]+_[A-Z_]+\b/g) ?? []);
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((code) => !(code in ERROR_CODES) && !SETTINGS.test(code))).toEqual([]);
});

test('every name in a description is in the schema', () => {
  const names = new Set(parts.flatMap(([name]) => name.split(/[.(:)]+/)));
  // Names of Socket.IO clients, HTTP and WebRTC.
  const elsewhere = /^(webrtc_forward|sender|media_list|\w+_id|Authorization)$/;
  const named = parts.flatMap(([part, description]) => {
    const words = [...(description ?? '').matchAll(/`([A-Za-z]\w+)`/g)].map(([, word]) => word ?? '');
    return words.map((word) => ({ part, word }));
  });
  expect(named.length).toBeGreaterThan(60);
  expect(
    named.filter(({ word }) => !names.has(word) && !elsewhere.test(word) && !SETTINGS.test(word)),
  ).toEqual([]);
});

test('every type can be reached from a root type', () => {
  const reached = new Set<string>();
  const visit = (type: GraphQLNamedType): void => {
    if (reached.has(type.name)) return;
    reached.add(type.name);
    if (isAbstractType(type)) for (const possible of schema.getPossibleTypes(type)) visit(possible);
    if (!isObjectType(type) && !isInterfaceType(type) && !isInputObjectType(type)) return;
    for (const parent of isInputObjectType(type) ? [] : type.getInterfaces()) visit(parent);
    for (const field of Object.values(type.getFields())) {
      visit(getNamedType(field.type as GraphQLType));
      for (const arg of 'args' in field ? field.args : []) visit(getNamedType(arg.type as GraphQLType));
    }
  };
  for (const root of [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]) {
    if (root) visit(root);
  }
  expect(own.map(({ name }) => name).filter((name) => !reached.has(name))).toEqual([]);
});
