import { GraphQLError, Kind } from 'graphql';
import type { DocumentNode, SelectionSetNode } from 'graphql';

/** About a hundred selections of a dozen fields each, or 270 fragment spreads. */
const MAX_OVERLAP = 150_000;

/**
 * Returns an error for a document whose validation would compare too many fields. The rule that overlapping fields can be
 * merged compares all fields with the same response name, and all fragments, in pairs: within the limit of tokens, that
 * can take a second of CPU.
 */
export function checkOverlap(document: DocumentNode): GraphQLError | undefined {
  const counts = new Map<string, number>();
  let spreads = 0;
  const count = (set: SelectionSetNode | undefined): void => {
    for (const selection of set?.selections ?? []) {
      if (selection.kind === Kind.FRAGMENT_SPREAD) {
        spreads += 1;
        continue;
      }
      if (selection.kind === Kind.FIELD) {
        const name = (selection.alias ?? selection.name).value;
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
      count(selection.selectionSet);
    }
  };
  for (const definition of document.definitions)
    if ('selectionSet' in definition) count(definition.selectionSet);
  let overlap = 2 * spreads ** 2;
  for (const times of counts.values()) overlap += times ** 2;
  if (overlap <= MAX_OVERLAP) return undefined;
  return new GraphQLError('The document repeats too many fields or fragments. Split it.', {
    extensions: { code: 'LIMIT_EXCEEDED', limit: `overlap ${MAX_OVERLAP}` },
  });
}
