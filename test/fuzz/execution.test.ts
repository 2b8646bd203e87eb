import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { buildSchema, execute as executeByGraphql, parse, validate } from 'graphql';
import type { ExecutionArgs, ExecutionResult } from 'graphql';
import { expect, test } from 'vitest';
import { execute } from '../../src/gateway/execution/graphql-executor.ts';
import { draws } from './draw.ts';
import type { Draw } from './draw.ts';
import { TIMEOUT_MS, fuzz } from './fuzz.ts';
import { drawOperation } from './operations.ts';

const schema = buildSchema(`
  enum Color { RED GREEN }
  interface Named { name: String }
  type Cat implements Named { name: String lives: Int! friend: Cat friends: [Cat!] pet(of: Int = 1, in: [Color!]): Pet! }
  type Dog implements Named { name: String barks: Boolean! owner: Named color: Color! kennel: [[Dog]!]! }
  union Pet = Cat | Dog
  type Query {
    cat: Cat
    dog: Dog!
    named: [Named!]!
    pets: [Pet]
    texts: [String!]
    color: Color
    id: ID!
    number(in: Float): Float
  }
  type Mutation { cat: Cat dog: Dog! number: Float! }
`);

/** Draws a value that no field, or few, may have; it may be an error. */
function drawOddValue(draw: Draw): unknown {
  const text = `${draw.nat(99)}`;
  return draw.pickFrom<unknown>([
    null,
    undefined,
    'text',
    '',
    NaN,
    2 ** 31,
    10n,
    {},
    [[]],
    Symbol.iterator,
    { valueOf: () => 7 },
    new Error(text),
    () => {
      throw new Error(text);
    },
    () => setImmediate().then(() => Promise.reject(new Error(text))),
  ]);
}

/** Returns a value as a resolver may return it. */
const drawForm = (draw: Draw, value: unknown): unknown =>
  draw.pickFrom<unknown>([
    value,
    value,
    () => value,
    () => Promise.resolve(value),
    () => setImmediate(value),
  ]);

/** Draws an object with the fields of all types, of which a few are odd. */
function drawObject(draw: Draw, depth = 0): object {
  const inner = depth > 4 ? null : drawObject(draw, depth + 1);
  const listed = [inner, drawForm(draw, inner)];
  const value: Record<string, unknown> = {
    __typename: draw.pickFrom(['Cat', 'Dog']),
    name: 'Name',
    lives: 9,
    barks: false,
    color: draw.pickFrom(['RED', 'GREEN']),
    friend: inner,
    friends: listed,
    owner: inner,
    kennel: [listed, [inner]],
    pet: inner,
    cat: inner,
    dog: inner,
    named: listed,
    pets: listed,
    texts: ['', drawForm(draw, 'text')],
    id: 7,
    number: 0,
  };
  const names = Object.keys(value);
  for (const name of names) value[name] = drawForm(draw, draw.oneIn(12) ? drawOddValue(draw) : value[name]);
  if (!draw.oneIn(8)) value['__typename'] = draw.pickFrom(['Cat', 'Dog']);
  return value;
}

/** Draws a document with fragments, conditions and fields that are selected repeatedly. */
function drawDocument(draw: Draw): string {
  const type = draw.pick('query', 'query', 'mutation');
  const [first, second] = [drawOperation(draw, schema, type, {}), drawOperation(draw, schema, type, {})];
  const bodyOf = (operation: string): string => operation.slice(operation.indexOf('{'));
  const root = type === 'query' ? 'Query' : 'Mutation';
  const condition = draw.pick('', '@include(if: true)', '@skip(if: $yes)', '@include(if: $yes)');
  return `${type} Drawn($yes: Boolean = true) {
    ${bodyOf(first).slice(1, -1)} ...Other ${condition} __typename __proto__: __typename
    ... on ${root} ${bodyOf(first)} ... @include(if: $yes) { last: __typename }
  }
  fragment Other on ${root} ${bodyOf(second).replaceAll(/\bf(\d+):/g, draw.pick('f$1:', 'g$1:'))}`;
}

type Execute = (args: ExecutionArgs) => ExecutionResult | Promise<ExecutionResult>;

async function encode(run: Execute, args: ExecutionArgs): Promise<string> {
  const { data, errors, ...rest } = await run(args);
  return JSON.stringify({ errors, data, rest }, undefined, 1);
}

test(
  'any operation has the result of graphql-js, whether or not it was executed before',
  { timeout: TIMEOUT_MS },
  async () => {
    let withData = 0;
    let withErrors = 0;
    const property = fc.asyncProperty(draws(), async (draw) => {
      const source = drawDocument(draw);
      const document = parse(source);
      fc.pre(validate(schema, document).length === 0);
      for (let count = 0; count < 3; count += 1) {
        const args = {
          schema,
          document,
          rootValue: drawObject(draw),
          variableValues: { yes: draw.oneIn(2) },
        };
        const expected = await encode(executeByGraphql, args);
        expect(await encode(execute, args), source).toBe(expected);
        if (/"f\d+": [^n]/.test(expected)) withData += 1;
        if (expected.includes('"message"')) withErrors += 1;
      }
    });
    await fuzz(property, 300);
    expect(withData).toBeGreaterThan(300);
    expect(withErrors).toBeGreaterThan(300);
  },
);
