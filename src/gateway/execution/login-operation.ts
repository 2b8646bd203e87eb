import { getOperationAST, Kind } from 'graphql';
import type { DocumentNode } from 'graphql';

/** `services/login-attempts.ts` limits these fields by address and account. */
const LOGIN_FIELDS: ReadonlySet<string> = new Set(['login', 'loginDevice']);
const MAX_LOGIN_DOCUMENT_LENGTH = 500;

/**
 * Whether an operation is a single login. The budget of its address does not apply to it: a flood from an
 * address must not keep its other clients from logging in.
 */
export function isLogin(document: DocumentNode, operationName?: string | null): boolean {
  const operation = getOperationAST(document, operationName);
  if (operation?.operation !== 'mutation') return false;
  const [field, ...others] = operation.selectionSet.selections;
  return others.length === 0 && field?.kind === Kind.FIELD && LOGIN_FIELDS.has(field.name.value);
}

/** Whether a text may be the document of a single login, which is cheap to parse. */
export const mayBeLogin = (text: string): boolean =>
  text.length <= MAX_LOGIN_DOCUMENT_LENGTH && /\blogin(?:Device)?\b/.test(text);
