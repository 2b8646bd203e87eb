import { Kind, visit } from 'graphql';
import type { ASTNode, GraphQLResolveInfo, OperationDefinitionNode } from 'graphql';

/** Field names by operation, so that a document is visited once, not for every event. Freed with the document. */
const selectedFields = new WeakMap<OperationDefinitionNode, ReadonlySet<string>>();

/** Whether the operation selects a field of this name anywhere: if so, loading its data in advance is worthwhile. */
export function selects({ operation, fragments }: GraphQLResolveInfo, field: string): boolean {
  let names = selectedFields.get(operation);
  if (names === undefined) {
    names = fieldNamesOf([operation, ...Object.values(fragments)]);
    selectedFields.set(operation, names);
  }
  return names.has(field);
}

function fieldNamesOf(definitions: readonly ASTNode[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const definition of definitions) {
    visit(definition, { [Kind.FIELD]: ({ name }) => void names.add(name.value) });
  }
  return names;
}
