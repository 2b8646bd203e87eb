import { getNamedType, isAbstractType, isLeafType, isObjectType } from 'graphql';
import type { GraphQLField } from 'graphql';
import { schema } from '../../src/schema/index.ts';

type Field = GraphQLField<unknown, unknown>;

const isPlain = ({ args }: Field): boolean => args.length === 0;

/** Selects all matching fields of a type, nested up to `depth` levels. Default: fields without arguments. */
export function selectFields(
  typeName: string,
  depth: number,
  fits: (field: Field) => boolean = isPlain,
): string {
  const type = schema.getType(typeName);
  if (isAbstractType(type)) {
    const selections = schema
      .getPossibleTypes(type)
      .map(({ name }) => `... on ${name} { ${selectFields(name, depth, fits)} }`);
    return `__typename ${selections.join(' ')}`;
  }
  if (!isObjectType(type)) throw new Error(`unknown type: ${typeName}`);
  const fields = Object.values(type.getFields()).flatMap((field) => {
    const inner = getNamedType(field.type);
    if (!fits(field)) return [];
    if (isLeafType(inner)) return [field.name];
    return depth === 0 ? [] : [`${field.name} { ${selectFields(inner.name, depth - 1, fits)} }`];
  });
  return ['__typename', ...fields].join(' ');
}
