import { GraphQLError, Kind } from 'graphql';
import type { DocumentNode, FieldNode, FragmentDefinitionNode, SelectionSetNode } from 'graphql';

/** About three times the cost of the standard introspection query of GraphiQL and code generators. */
const MAX_INTROSPECTION_COST = 1_000_000;

/** For the schema of this project, by field of the introspection system. */
const ESTIMATED_LIST_LENGTHS: Readonly<Record<string, number>> = {
  types: 150,
  fields: 20,
  inputFields: 8,
  args: 4,
  enumValues: 6,
  interfaces: 2,
  possibleTypes: 10,
  directives: 6,
};

/** Length of an alias that costs as much as a field: the result repeats it for each item of a list. */
const ALIAS_LENGTH = 16;

const aliasCost = ({ alias }: FieldNode): number => Math.floor((alias?.value.length ?? 0) / ALIAS_LENGTH);

/**
 * Returns an error for introspection whose nested lists multiply beyond `MAX_INTROSPECTION_COST`. The complexity limits
 * of the schema do not cover introspection, and `MaxIntrospectionDepthRule` of graphql-js bounds depth but not width by
 * aliases. Expects a valid document, whose fragments exist and form no cycle.
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
  /** Outside introspection (`inside` is false) only `__schema` and `__type` count. */
  const costOf = (set: SelectionSetNode | undefined, inside: boolean): number => {
    let cost = 0;
    for (const selection of set?.selections ?? []) {
      if (selection.kind === Kind.FRAGMENT_SPREAD) {
        if (inside) cost += costOfFragment(selection.name.value);
      } else if (selection.kind === Kind.INLINE_FRAGMENT) cost += costOf(selection.selectionSet, inside);
      else {
        const name = selection.name.value;
        const enters = name === '__schema' || name === '__type';
        if (inside || enters)
          cost +=
            1 +
            aliasCost(selection) +
            (ESTIMATED_LIST_LENGTHS[name] ?? 1) * costOf(selection.selectionSet, true);
      }
    }
    return cost;
  };

  let total = 0;
  for (const definition of document.definitions) {
    if (definition.kind === Kind.OPERATION_DEFINITION) total += costOf(definition.selectionSet, false);
    // A fragment on the root type may select introspection too; spreads outside introspection are not followed.
    if (definition.kind === Kind.FRAGMENT_DEFINITION) total += costOf(definition.selectionSet, false);
  }
  if (total <= MAX_INTROSPECTION_COST) return undefined;
  return new GraphQLError('The introspection result could be too large. Split the query.', {
    extensions: { code: 'LIMIT_EXCEEDED', limit: `introspection ${MAX_INTROSPECTION_COST}` },
  });
}
