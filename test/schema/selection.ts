import { getNamedType, isAbstractType, isLeafType, isObjectType } from 'graphql';
import type { GraphQLField } from 'graphql';
import { schema } from '../../src/schema/index.ts';

type Field = GraphQLField<unknown, unknown>;

const hasNoArguments = ({ args }: Field): boolean => args.length === 0;

/** Selects all matching fields of a type, nested up to `depth` levels. Default: fields without arguments. */
export function selectFields(
  typeName: string,
  depth: number,
  isSelected: (field: Field) => boolean = hasNoArguments,
): string {
  const type = schema.getType(typeName);
  if (isAbstractType(type)) {
    const selections = schema
      .getPossibleTypes(type)
      .map(({ name }) => `... on ${name} { ${selectFields(name, depth, isSelected)} }`);
    return `__typename ${selections.join(' ')}`;
  }
  if (!isObjectType(type)) throw new Error(`Not an object type: ${typeName}`);
  const fields = Object.values(type.getFields()).flatMap((field) => {
    const namedType = getNamedType(field.type);
    if (!isSelected(field)) return [];
    if (isLeafType(namedType)) return [field.name];
    return depth === 0 ? [] : [`${field.name} { ${selectFields(namedType.name, depth - 1, isSelected)} }`];
  });
  return ['__typename', ...fields].join(' ');
}
