import { Kysely, OperationNodeTransformer } from 'kysely';
import type { QueryId, RawNode } from 'kysely';
import type { Db } from '../../src/db/database.ts';

/** The access rule of `db/conversation-access.ts`, and a stricter one: only an ADMIN has access, and no device. */
const STRICTER = new Map([
  ['from participants\n', "from participants where role = 'ADMIN'\n"],
  ['where conversations.device_access\n', 'where false\n'],
]);

/** Makes the access rule stricter where a statement contains it. A second rule in another module would stay as it is. */
class RuleTransformer extends OperationNodeTransformer {
  protected override transformRaw(node: RawNode, queryId?: QueryId): RawNode {
    const transformed = super.transformRaw(node, queryId);
    const [rule, ...rest] = node.sqlFragments;
    return rule === undefined || rest.length > 0
      ? transformed
      : { ...transformed, sqlFragments: [toStricter(rule)] };
  }
}

function toStricter(text: string): string {
  if (!text.includes('as actor_id')) return text;
  for (const [condition, stricter] of STRICTER)
    if (text.includes(condition)) return text.replace(condition, stricter);
  throw new Error(`The access rule has changed: ${text}`);
}

/** An access rule that is stricter in the wrapped database from `tighten` until its result is disposed. */
export interface ChangingRule {
  wrapDb(db: Db): Db;
  tighten(): Disposable;
}

export function createChangingRule(): ChangingRule {
  const transformer = new RuleTransformer();
  let isStricter = false;
  return {
    wrapDb: (db) =>
      db.withPlugin({
        transformQuery: ({ node, queryId }) => (isStricter ? transformer.transformNode(node, queryId) : node),
        transformResult: async ({ result }) => result,
      }),
    tighten() {
      isStricter = true;
      // Statements of `compileOnce` were built with the first rule. Transactions run them, too.
      const { executeQuery } = Kysely.prototype;
      Kysely.prototype.executeQuery = function execute(query, options) {
        const changed = 'sql' in query ? { ...query, sql: toStricter(query.sql) } : query;
        return executeQuery.call(this, changed, options) as never;
      };
      return {
        [Symbol.dispose]() {
          isStricter = false;
          Kysely.prototype.executeQuery = executeQuery;
        },
      };
    },
  };
}
