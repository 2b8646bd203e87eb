import { parseDocument } from './document.ts';
import type { Document, Field, Operation, Selection } from './document.ts';
import type { OperationPayload } from './types.ts';

/** Where the cursor of a durable subscription comes from and where it goes to. */
export interface CursorPlan {
  readonly variable: string;
  /** The names that `cursor` and `__typename` of the root field's value have in results. */
  readonly cursorKeys: readonly string[];
  readonly typenameKeys: readonly string[];
}

/**
 * What an operation is to this module. `unknown` is one without text: its first result tells, and until then it is not
 * retried here, as it could be a mutation. `plain` is a query, a mutation, or what the server will refuse.
 */
export type Plan =
  | { readonly type: 'plain' }
  | { readonly type: 'ephemeral' }
  | { readonly type: 'durable'; readonly cursor: CursorPlan }
  | { readonly type: 'unknown'; readonly cursor: CursorPlan };

/** Throws an error for a durable subscription that selects no cursor: it could never resume. */
export function planOf(payload: OperationPayload, cursorVariable: string): Plan {
  const { query, operationName } = payload;
  if (typeof query !== 'string' || query.trim() === '') {
    const cursor = { variable: cursorVariable, cursorKeys: ['cursor'], typenameKeys: ['__typename'] };
    return { type: 'unknown', cursor };
  }
  const document = read(query);
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
  if (cursorKeys.length === 0) throw new Error(noCursor(`The subscription ${root.name}`));
  return { type: 'durable', cursor: { variable, cursorKeys, typenameKeys: keysOf('__typename') } };
}

export const noCursor = (what: string): string =>
  `${what} has a variable for a cursor, but selects no \`cursor\`: after a break it could not resume. Select \`cursor\` on every event.`;

/** Undefined for what is no document: the server says what is wrong with it. */
function read(text: string): Document | undefined {
  try {
    return parseDocument(text);
  } catch {
    return undefined;
  }
}

function operationOf({ operations }: Document, name: string | null | undefined): Operation | undefined {
  if (typeof name === 'string' && name !== '') return operations.find((operation) => operation.name === name);
  return operations.length === 1 ? operations[0] : undefined;
}

const cursorVariableOf = ({ variables }: Operation, root: Field): string | undefined =>
  root.variables.find((name) => variables.get(name) === 'Cursor');

/** The fields of a selection, those of its fragments included. */
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
