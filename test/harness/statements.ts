import type { Db } from '../../src/db/database.ts';

/** Wraps a database to count its SQL statements. Tests reset `count`. */
export function countStatements(db: Db): { readonly db: Db; count: number } {
  const counted = {
    count: 0,
    db: db.withPlugin({
      transformQuery: ({ node }) => node,
      // Called for each execution, also of a statement that was compiled before.
      async transformResult({ result }) {
        counted.count += 1;
        return result;
      },
    }),
  };
  return counted;
}
