import type { Db } from '../../src/db/database.ts';

/** Wraps a database to count its SQL statements. Tests reset `count`. */
export function countStatements(db: Db): { readonly db: Db; count: number } {
  const counted = {
    count: 0,
    db: db.withPlugin({
      transformQuery({ node }) {
        counted.count += 1;
        return node;
      },
      transformResult: async ({ result }) => result,
    }),
  };
  return counted;
}
