/** Rows by their id. */
export function byId<Row extends { readonly id: PropertyKey }>(rows: readonly Row[]): Map<Row['id'], Row> {
  return new Map(rows.map((row) => [row.id, row]));
}

/** The rows of each key, in their order; none for a key without any. */
export function grouped<Key, Row>(
  keys: readonly Key[],
  rows: readonly Row[],
  keyOf: (row: Row) => Key,
): Map<Key, Row[]> {
  const groups = Map.groupBy(rows, keyOf);
  return new Map(keys.map((key) => [key, groups.get(key) ?? []]));
}
