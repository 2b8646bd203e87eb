import { BREAK, visit } from 'graphql';
import type { DocumentNode, ExecutionResult } from 'graphql';
import type { Context } from '../../schema/context.ts';

type Execute = () => ExecutionResult | Promise<ExecutionResult>;

/** Executes operations, those that select an `eventCursor` in one database snapshot. */
export interface SnapshotExecution {
  /** `mutates` delays the snapshot until the mutation itself enters it, after its writes. */
  run(
    document: DocumentNode,
    context: Context,
    mutates: boolean,
    execute: Execute,
  ): ExecutionResult | Promise<ExecutionResult>;
}

export function createSnapshotExecution(): SnapshotExecution {
  const cache = new WeakMap<DocumentNode, boolean>();
  const needsSnapshot = (document: DocumentNode): boolean => {
    const known = cache.get(document);
    if (known !== undefined) return known;
    const selects = selectsEventCursor(document);
    cache.set(document, selects);
    return selects;
  };
  return {
    run(document, context, mutates, execute) {
      return needsSnapshot(document) ? executeInSnapshot(context, mutates, execute) : execute();
    },
  };
}

async function executeInSnapshot(
  context: Context,
  mutates: boolean,
  execute: Execute,
): Promise<ExecutionResult> {
  context.usesSnapshot = true;
  try {
    if (!mutates) await context.enterSnapshot();
    return await execute();
  } finally {
    await context.leaveSnapshot();
  }
}

/** A subscription that starts at an `eventCursor` misses nothing only if the data beside it is from the same snapshot. */
function selectsEventCursor(document: DocumentNode): boolean {
  let found = false;
  visit(document, {
    Field: (node) => {
      found ||= node.name.value === 'eventCursor';
      return found ? BREAK : undefined;
    },
  });
  return found;
}
