import {
  getNamedType,
  isAbstractType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
} from 'graphql';
import type { GraphQLNamedType, GraphQLSchema, GraphQLType } from 'graphql';
import { describe, expect, test } from 'vitest';
import { schema as operatorSchema } from '../../src/admin/index.ts';
import { VARIABLES } from '../../src/config-variables.ts';
import { ERROR_CODES } from '../../src/errors.ts';
import { schema } from '../../src/schema/index.ts';

const ownTypesOf = (of: GraphQLSchema): GraphQLNamedType[] =>
  Object.values(of.getTypeMap()).filter(
    (type) => !isIntrospectionType(type) && !['String', 'Int', 'Float', 'Boolean', 'ID'].includes(type.name),
  );

const ERRORS = / Errors: ([A-Z_]+(?:, [A-Z_]+)*)\.$/;
const CODES = Object.keys(ERROR_CODES);

/** A schema coordinate, such as `Circle.name` or `Query.node(id:)`, with its description. */
type Description = readonly [coordinate: string, description: string];

/** Lists the type and its fields, arguments and enum values. */
function* listDescriptions(type: GraphQLNamedType): Generator<Description> {
  yield [type.name, type.description ?? ''];
  if (isEnumType(type))
    for (const value of type.getValues()) yield [`${type.name}.${value.name}`, value.description ?? ''];
  if (!isObjectType(type) && !isInterfaceType(type) && !isInputObjectType(type)) return;
  for (const field of Object.values(type.getFields())) {
    yield [`${type.name}.${field.name}`, field.description ?? ''];
    if ('args' in field) {
      for (const arg of field.args) yield [`${type.name}.${field.name}(${arg.name}:)`, arg.description ?? ''];
    }
  }
}

const descriptionsOf = (of: GraphQLSchema): readonly Description[] =>
  ownTypesOf(of).flatMap((type) => [...listDescriptions(type)]);

const descriptions = descriptionsOf(schema);

describe.each([
  ['the schema', schema, 400],
  ['the schema of operators', operatorSchema, 60],
])('in %s', (_name, of, minCount) => {
  const findDescriptions = (isInvalid: (description: string) => boolean): readonly Description[] =>
    descriptionsOf(of).filter(([, description]) => isInvalid(description));

  test('every type, field, argument and enum value is described in full sentences', () => {
    expect(descriptionsOf(of).length).toBeGreaterThan(minCount);
    expect(findDescriptions((description) => !/^[A-Z`][^]*[.]$/.test(description))).toEqual([]);
  });

  test('no sentence starts with What, Who, Whom, Whoever or Of', () => {
    expect(
      findDescriptions((description) => /(^|[.:] )(What|Who|Whom|Whoever|Of)\b/.test(description)),
    ).toEqual([]);
  });

  test('descriptions use the terms of the API and of the field', () => {
    const bannedWords =
      /\b(answers?|answered|moment|told|tells|said|says|gone|kept|somebody|nobody|whoever|thing)\b/i;
    expect(findDescriptions((text) => bannedWords.test(text))).toEqual([]);
  });

  test('every code that a description lists exists', () => {
    const codes = descriptionsOf(of).flatMap(([, text]) => ERRORS.exec(text)?.[1]?.split(', ') ?? []);
    expect(codes.length).toBeGreaterThan(5);
    expect(codes.filter((code) => !CODES.includes(code))).toEqual([]);
  });

  test('every type is reachable from a root type', () => {
    const reachable = new Set<string>();
    const visit = (type: GraphQLNamedType): void => {
      if (reachable.has(type.name)) return;
      reachable.add(type.name);
      if (isAbstractType(type)) for (const possible of of.getPossibleTypes(type)) visit(possible);
      if (!isObjectType(type) && !isInterfaceType(type) && !isInputObjectType(type)) return;
      for (const parent of isInputObjectType(type) ? [] : type.getInterfaces()) visit(parent);
      for (const field of Object.values(type.getFields())) {
        visit(getNamedType(field.type as GraphQLType));
        for (const arg of 'args' in field ? field.args : []) visit(getNamedType(arg.type as GraphQLType));
      }
    };
    for (const root of [of.getQueryType(), of.getMutationType(), of.getSubscriptionType()]) {
      if (root) visit(root);
    }
    const names = ownTypesOf(of).map(({ name }) => name);
    expect(names.filter((name) => !reachable.has(name))).toEqual([]);
  });
});

test('descriptions of the schema use no terms of Socket.IO', () => {
  const words = /\b(room|frame|privilege|writing)\b/;
  expect(descriptions.filter(([, text]) => words.test(text))).toEqual([]);
});

const operations = [schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
  Object.values(type?.getFields() ?? {}).map((field) => ({
    name: field.name,
    args: field.args,
    description: field.description ?? '',
    codes: ERRORS.exec(field.description ?? '')?.[1]?.split(', ') ?? [],
  })),
);

test('every mutation and subscription ends with the error codes that it can raise', () => {
  expect(operations.length).toBeGreaterThan(30);
  for (const { name, codes } of operations) {
    expect(codes, name).not.toEqual([]);
    expect(
      codes.filter((code) => !CODES.includes(code)),
      name,
    ).toEqual([]);
    expect(new Set(codes).size, name).toBe(codes.length);
  }
});

test('a code that is explained in the text of an operation or its arguments is in its list', () => {
  for (const { name, args, description, codes } of operations) {
    const text = [description, ...args.map((arg) => arg.description ?? '')].join(' ');
    expect(CODES.filter((code) => new RegExp(`\\b${code}\\b`).test(text)).toSorted(), name).toEqual(
      codes.toSorted(),
    );
  }
});

test('an operation with a global id lists the errors of a malformed and of an unknown id', () => {
  for (const { name, args, codes } of operations) {
    if (!args.some((arg) => String(arg.type) === 'ID!')) continue;
    expect(codes, name).toEqual(expect.arrayContaining(['UNAUTHENTICATED', 'INVALID_INPUT', 'NOT_FOUND']));
  }
});

test('only operations that require no token omit UNAUTHENTICATED', () => {
  const anonymousOperations = operations.filter(({ codes }) => !codes.includes('UNAUTHENTICATED'));
  expect(anonymousOperations.map(({ name }) => name)).toEqual(['createAccount']);
});

const isSetting = (word: string): boolean => word in VARIABLES;

test('every code or setting that a description names exists', () => {
  const names = descriptions.flatMap(([, description]) => description.match(/\b[A-Z]+_[A-Z_]+\b/g) ?? []);
  expect(names.length).toBeGreaterThan(20);
  expect(names.filter((name) => !(name in ERROR_CODES) && !isSetting(name))).toEqual([]);
});

test('every name in backticks is in the schema', () => {
  const names = new Set(descriptions.flatMap(([coordinate]) => coordinate.split(/[.(:)]+/)));
  // Names of the Socket.IO contract and of HTTP.
  const external = /^(webrtc_forward|content|message|sender|media_list|\w+_id|Authorization)$/;
  const mentions = descriptions.flatMap(([coordinate, description]) => {
    const words = [...description.matchAll(/`([A-Za-z]\w+)`/g)].map(([, word]) => word ?? '');
    return words.map((word) => ({ coordinate, word }));
  });
  expect(mentions.length).toBeGreaterThan(60);
  expect(mentions.filter(({ word }) => !names.has(word) && !external.test(word) && !isSetting(word))).toEqual(
    [],
  );
});
