import type { Db } from '../../src/db/database.ts';

/** A database that counts the SQL statements it is asked for, since `count` was last set to 0. */
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
