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

/** Every place of the type that has a description, or should have one. */
function* placesOf(
  type: GraphQLNamedType,
): Generator<[place: string, description: string | null | undefined]> {
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

const places = own.flatMap((type) => [...placesOf(type)]);

/** Settings of the server that a description may name. */
const SETTINGS = /^(SIGN_UP|PASSWORD_LOGIN)$/;

test('everything in the schema is described, in sentences', () => {
  expect(places.length).toBeGreaterThan(400);
  const bad = places.filter(([, description]) => !/^[A-Z`][^]*[.]$/.test(description ?? ''));
  expect(bad).toEqual([]);
});

test('descriptions keep the words of the API', () => {
  const legacyWords = /\b(room|frame|privilege|writing)\b/;
  expect(places.filter(([, description]) => legacyWords.test(description ?? ''))).toEqual([]);
});

test('every code that a description names is one of the list', async () => {
  const { ERROR_CODES } = await import('../../src/errors.ts');
  const named = places.flatMap(([, description]) => description?.match(/\b[A-Z]+_[A-Z_]+\b/g) ?? []);
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((code) => !(code in ERROR_CODES) && !SETTINGS.test(code))).toEqual([]);
});

test('what a description names is in the schema', () => {
  const names = new Set(places.flatMap(([place]) => place.split(/[.(:)]+/)));
  // What Socket.IO clients and HTTP call things.
  const elsewhere = /^(webrtc_forward|sender|media_list|\w+_id|Authorization)$/;
  const named = places.flatMap(([place, description]) => {
    const words = [...(description ?? '').matchAll(/`([A-Za-z]\w+)`/g)].map(([, word]) => word ?? '');
    return words.map((word) => ({ place, word }));
  });
  expect(named.length).toBeGreaterThan(60);
  expect(
    named.filter(({ word }) => !names.has(word) && !elsewhere.test(word) && !SETTINGS.test(word)),
  ).toEqual([]);
});

test('no type is left over', () => {
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
