import {
  getNamedType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isUnionType,
} from 'graphql';
import type { GraphQLArgument, GraphQLCompositeType, GraphQLInputType, GraphQLSchema } from 'graphql';
import type { Draw } from './draw.ts';

/** Values of arguments, beside random ones: by `field.argument`, by the name of the argument, or by its type. */
export type Examples = Readonly<Record<string, readonly string[]>>;

const MAX_DEPTH = 4;
const MAX_FIELDS = 4;

const ODD_VALUES = [
  'null',
  '0',
  '-1',
  '1e309',
  '""',
  '"\\u0000"',
  '[]',
  '[[]]',
  '{}',
  'true',
  'A',
  '$missing',
  '9007199254740993',
];

/** Creates a document with one operation that is valid by the schema, except for some of its argument values. */
export function drawOperation(
  draw: Draw,
  schema: GraphQLSchema,
  type: 'query' | 'mutation' | 'subscription',
  examples: Examples,
  /** Root fields to leave out. */
  excluded: readonly string[] = [],
): string {
  const root = {
    query: schema.getQueryType(),
    mutation: schema.getMutationType(),
    subscription: schema.getSubscriptionType(),
  }[type];
  if (root == null) throw new Error(`The schema has no ${type}.`);
  const fieldCount = type === 'subscription' ? 1 : 1 + draw.nat(2);
  return `${type} ${drawSelection(draw, schema, root, examples, MAX_DEPTH, fieldCount, excluded)}`;
}

function drawSelection(
  draw: Draw,
  schema: GraphQLSchema,
  type: GraphQLCompositeType,
  examples: Examples,
  depth: number,
  fieldCount = 1 + draw.nat(MAX_FIELDS - 1),
  excluded: readonly string[] = [],
): string {
  const parts: string[] = [];
  if (isInterfaceType(type) || isUnionType(type)) {
    const member = draw.pickFrom(schema.getPossibleTypes(type));
    parts.push('__typename', `... on ${member.name} ${drawSelection(draw, schema, member, examples, depth)}`);
  }
  if (isObjectType(type)) {
    const fields = Object.values(type.getFields()).filter(
      (field) => !excluded.includes(field.name) && (depth > 0 || !isCompositeType(getNamedType(field.type))),
    );
    for (let count = 0; count < fieldCount && fields.length > 0; count += 1) {
      const field = draw.pickFrom(fields);
      const named = getNamedType(field.type);
      const selection = isCompositeType(named)
        ? ` ${drawSelection(draw, schema, named, examples, depth - 1)}`
        : '';
      parts.push(
        `f${parts.length}: ${field.name}${drawArguments(draw, field.name, field.args, examples)}${selection}`,
      );
    }
    if (parts.length === 0) parts.push('__typename');
  }
  return `{ ${parts.join(' ')} }`;
}

function drawArguments(
  draw: Draw,
  field: string,
  args: readonly GraphQLArgument[],
  examples: Examples,
): string {
  const given = args.filter((arg) => isRequiredArgument(arg) || draw.oneIn(4));
  if (given.length === 0) return '';
  return `(${given.map((arg) => `${arg.name}: ${drawValue(draw, arg.type, `${field}.${arg.name}`, examples)}`).join(', ')})`;
}

function drawValue(draw: Draw, type: GraphQLInputType, name: string, examples: Examples): string {
  if (draw.oneIn(20)) return draw.pickFrom(ODD_VALUES);
  if (isNonNullType(type)) return drawValue(draw, type.ofType, name, examples);
  if (isListType(type)) {
    const length = draw.nat(3);
    const items = Array.from({ length }, () => drawValue(draw, type.ofType, name, examples));
    return `[${items.join(', ')}]`;
  }
  if (isEnumType(type)) return draw.pickFrom(type.getValues().map((value) => value.name));
  if (isInputObjectType(type)) {
    const fields = Object.values(type.getFields());
    const given = type.isOneOf
      ? [draw.pickFrom(fields)]
      : fields.filter((field) => isNonNullType(field.type) || draw.oneIn(2));
    const values = given.map(
      (field) => `${field.name}: ${drawValue(draw, field.type, `${type.name}.${field.name}`, examples)}`,
    );
    return `{ ${values.join(', ')} }`;
  }
  if (!isLeafType(type)) return 'null';
  const known = examples[name] ?? examples[name.split('.')[1] ?? ''] ?? examples[type.name];
  if (known !== undefined && !draw.oneIn(10)) return draw.pickFrom(known);
  if (type.name === 'Int') return String(draw.nat(102) - 1);
  if (type.name === 'Boolean') return String(draw.oneIn(2));
  return JSON.stringify(draw.text(20));
}
