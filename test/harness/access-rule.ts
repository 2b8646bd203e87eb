import { OperationNodeTransformer } from 'kysely';
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
    if (rule?.includes('as actor_id') !== true || rest.length > 0) return transformed;
    for (const [condition, stricter] of STRICTER)
      if (rule.includes(condition))
        return { ...transformed, sqlFragments: [rule.replace(condition, stricter)] };
    throw new Error(`The access rule has changed: ${rule}`);
  }
}

/** An access rule that is stricter in the wrapped database once `tighten` has been called. */
export interface ChangingRule {
  wrapDb(db: Db): Db;
  tighten(): void;
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
    tighten: () => void (isStricter = true),
  };
}
