import { getNamedType, isAbstractType, isLeafType, isObjectType } from 'graphql';
import type { GraphQLField } from 'graphql';
import { schema } from '../../src/schema/index.ts';

type Field = GraphQLField<unknown, unknown>;

const isPlain = ({ args }: Field): boolean => args.length === 0;

/** Selects every field of a type that fits, down to some depth; without pages unless told. */
export function everyField(
  typeName: string,
  depth: number,
  fits: (field: Field) => boolean = isPlain,
): string {
  const type = schema.getType(typeName);
  if (isAbstractType(type)) {
    const selections = schema
      .getPossibleTypes(type)
      .map(({ name }) => `... on ${name} { ${everyField(name, depth, fits)} }`);
    return `__typename ${selections.join(' ')}`;
  }
  if (!isObjectType(type)) throw new Error(`no type ${typeName}`);
  const fields = Object.values(type.getFields()).flatMap((field) => {
    const inner = getNamedType(field.type);
    if (!fits(field)) return [];
    if (isLeafType(inner)) return [field.name];
    return depth === 0 ? [] : [`${field.name} { ${everyField(inner.name, depth - 1, fits)} }`];
  });
  return ['__typename', ...fields].join(' ');
}
