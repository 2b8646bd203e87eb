import { Kind, visit } from 'graphql';
import type { ASTNode, GraphQLResolveInfo, OperationDefinitionNode } from 'graphql';

const known = new WeakMap<OperationDefinitionNode, ReadonlySet<string>>();

/** Whether a field of that name is selected anywhere in the operation: then what it needs is worth reading beforehand. */
export function selects({ operation, fragments }: GraphQLResolveInfo, field: string): boolean {
  let names = known.get(operation);
  if (names === undefined) {
    names = namesIn([operation, ...Object.values(fragments)]);
    known.set(operation, names);
  }
  return names.has(field);
}

function namesIn(definitions: readonly ASTNode[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const definition of definitions) {
    visit(definition, { [Kind.FIELD]: ({ name }) => void names.add(name.value) });
  }
  return names;
}
