import { parseDocument } from './document.ts';
import type { Document, Field, OperationDefinition, Selection } from './document.ts';
import type { OperationPayload } from './types.ts';

/** The variable for the cursor of a durable subscription, and the result keys that it is read from. */
export interface CursorPlan {
  readonly variable: string;
  /** The result keys (aliases) of `cursor` and `__typename` in the root field's value. */
  readonly cursorKeys: readonly string[];
  readonly typenameKeys: readonly string[];
}

/**
 * How an operation is handled. `plain`: a query, a mutation, or a document that the server will reject; passed through.
 * `unknown`: sent without text (persisted); classified by its first result, and not retried before that, because it could
 * be a mutation.
 */
export type Plan =
  | { readonly type: 'plain' }
  | { readonly type: 'ephemeral' }
  | { readonly type: 'durable'; readonly cursor: CursorPlan }
  | { readonly type: 'unknown'; readonly cursor: CursorPlan };

/** Classifies an operation. Throws for a durable subscription that selects no `cursor`: it could not resume. */
export function planOperation(payload: OperationPayload, cursorVariable: string): Plan {
  const { query, operationName } = payload;
  if (typeof query !== 'string' || query.trim() === '') {
    const cursor = { variable: cursorVariable, cursorKeys: ['cursor'], typenameKeys: ['__typename'] };
    return { type: 'unknown', cursor };
  }
  const document = tryParse(query);
  const operation = document && operationOf(document, operationName);
  if (document === undefined || operation?.kind !== 'subscription') return { type: 'plain' };
  const [root] = fieldsOf(document, operation.selections);
  const variable = root && cursorVariableOf(operation, root);
  if (root === undefined || variable === undefined) return { type: 'ephemeral' };
  const keysOf = (name: string): string[] =>
    fieldsOf(document, root.selections)
      .filter((field) => field.name === name)
      .map((field) => field.key);
  const cursorKeys = keysOf('cursor');
  if (cursorKeys.length === 0) throw new Error(noCursorMessage(`The subscription ${root.name}`));
  return { type: 'durable', cursor: { variable, cursorKeys, typenameKeys: keysOf('__typename') } };
}

export const noCursorMessage = (subject: string): string =>
  `${subject} has a cursor variable but selects no \`cursor\`, so it could not resume after a disconnect. Select \`cursor\` on every event.`;

/** Parses a document; undefined if it is malformed, which the server reports. */
function tryParse(text: string): Document | undefined {
  try {
    return parseDocument(text);
  } catch {
    return undefined;
  }
}

function operationOf(
  { operations }: Document,
  name: string | null | undefined,
): OperationDefinition | undefined {
  if (typeof name === 'string' && name !== '') return operations.find((operation) => operation.name === name);
  return operations.length === 1 ? operations[0] : undefined;
}

const cursorVariableOf = ({ variables }: OperationDefinition, root: Field): string | undefined =>
  root.variables.find((name) => variables.get(name) === 'Cursor');

/** Lists the fields of a selection, including those of its fragments. */
function fieldsOf(document: Document, selections: readonly Selection[], seen = new Set<string>()): Field[] {
  return selections.flatMap((selection) => {
    switch (selection.type) {
      case 'field':
        return [selection.field];
      case 'inline':
        return fieldsOf(document, selection.selections, seen);
      case 'spread': {
        if (seen.has(selection.name)) return [];
        seen.add(selection.name);
        return fieldsOf(document, document.fragments.get(selection.name) ?? [], seen);
      }
    }
  });
}
