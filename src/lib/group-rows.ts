/** Maps rows by their id. */
export function indexById<Row extends { readonly id: PropertyKey }>(
  rows: readonly Row[],
): Map<Row['id'], Row> {
  return new Map(rows.map((row) => [row.id, row]));
}

/** Groups rows by key, in their order. A key without rows maps to an empty array. */
export function groupBy<Key, Row>(
  keys: readonly Key[],
  rows: readonly Row[],
  keyOf: (row: Row) => Key,
): Map<Key, Row[]> {
  const groups = Map.groupBy(rows, keyOf);
  return new Map(keys.map((key) => [key, groups.get(key) ?? []]));
}
