import { GraphQLError, Kind } from 'graphql';
import type { DocumentNode, FragmentDefinitionNode, SelectionSetNode } from 'graphql';

/** The standard query of GraphiQL and of code generators costs a third of it. */
const MAX_COST = 1_000_000;

/** How many things the lists of introspection hold in this schema, about. */
const LENGTHS: Readonly<Record<string, number>> = {
  types: 150,
  fields: 20,
  inputFields: 8,
  args: 4,
  enumValues: 6,
  interfaces: 2,
  possibleTypes: 10,
  directives: 6,
};

/**
 * Refuses introspection whose lists multiply beyond all measure; the limits of the schema do not see into it. The
 * document is a valid one: its fragments are there, and name each other in no circle.
 */
export function checkIntrospection(document: DocumentNode): GraphQLError | undefined {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  const known = new Map<string, number>();

  const costOfFragment = (name: string): number => {
    const cost = known.get(name) ?? costOf(fragments.get(name)?.selectionSet, true);
    known.set(name, cost);
    return cost;
  };
  /** Outside introspection only what leads there counts. */
  const costOf = (set: SelectionSetNode | undefined, inside: boolean): number => {
    let cost = 0;
    for (const selection of set?.selections ?? []) {
      if (selection.kind === Kind.FRAGMENT_SPREAD) {
        if (inside) cost += costOfFragment(selection.name.value);
      } else if (selection.kind === Kind.INLINE_FRAGMENT) cost += costOf(selection.selectionSet, inside);
      else {
        const name = selection.name.value;
        const enters = name === '__schema' || name === '__type';
        if (inside || enters) cost += 1 + (LENGTHS[name] ?? 1) * costOf(selection.selectionSet, true);
      }
    }
    return cost;
  };

  let total = 0;
  for (const definition of document.definitions) {
    if (definition.kind === Kind.OPERATION_DEFINITION) total += costOf(definition.selectionSet, false);
    // A fragment on the root type may hold introspection as well.
    if (definition.kind === Kind.FRAGMENT_DEFINITION) total += costOf(definition.selectionSet, false);
  }
  if (total <= MAX_COST) return undefined;
  return new GraphQLError('The introspection could answer too much. Ask for less at a time.', {
    extensions: { code: 'LIMIT_EXCEEDED', limit: `introspection ${MAX_COST}` },
  });
}
