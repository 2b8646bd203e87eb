import type { IncomingMessage } from 'node:http';
import { getOperationAST, Kind } from 'graphql';
import type { ExecutionResult, OperationDefinitionNode } from 'graphql';
import { DomainError } from '../errors.ts';
import { findTokenInRequest } from './bearer-token.ts';
import type { FoundToken } from './bearer-token.ts';
import type { Operation } from './execution/engine.ts';
import { codeOf } from './execution/format-error.ts';

/** The session of a token; without one, why the token that was sent is none. Both undefined when none was sent. */
export interface Identity<Session> {
  readonly session?: Session | undefined;
  readonly refusal?: string | undefined;
}

/**
 * Reads the session of a token. A bad token counts as none: the refusal is for those operations that need a login.
 * Throws UNAVAILABLE when the token cannot be checked at the moment.
 */
export async function identify<Session>(
  found: FoundToken | undefined,
  authenticate: (token: string) => Promise<Session>,
): Promise<Identity<Session>> {
  if (found === undefined) return {};
  if (found.token === undefined) return { refusal: found.problem };
  try {
    return { session: await authenticate(found.token) };
  } catch (error) {
    if (error instanceof DomainError && error.code === 'UNAUTHENTICATED') return { refusal: error.message };
    throw error;
  }
}

/**
 * The result as the answer of one HTTP request: an operation that lacked a login and has no data is refused as a whole,
 * so that it is answered with 401. What other fields of the operation returned stays, with status 200.
 */
export function refuseWithoutLogin(
  result: ExecutionResult,
  { context, document, operationName }: Pick<Operation, 'context' | 'document' | 'operationName'>,
): ExecutionResult {
  if (!context.lacksLogin || Object.values(result.data ?? {}).some((value) => value !== null)) return result;
  const operation = getOperationAST(document, operationName);
  if (operation?.operation === 'mutation' && !isFirstRefused(operation, result)) return result;
  return { errors: (result.errors ?? []).filter((error) => codeOf(error) === 'UNAUTHENTICATED') };
}

/** The fields of a mutation run in order: when another one is refused, those before it are done, and must not be sent again. */
function isFirstRefused(
  { selectionSet: { selections } }: OperationDefinitionNode,
  { errors }: ExecutionResult,
): boolean {
  const [first] = selections;
  return first?.kind === Kind.FIELD && errors?.[0]?.path?.[0] === (first.alias ?? first.name).value;
}

/** The challenge of a 401 (RFC 9110, 11.6.1; RFC 6750, 3). It names an error only when there was a token. */
export function challengeOf(request: IncomingMessage): string {
  const found = findTokenInRequest(request);
  const wasSent = found !== undefined && found.isBlank !== true;
  const error = wasSent
    ? ', error="invalid_token", error_description="The token is malformed, expired, revoked or of no active account."'
    : '';
  return `Bearer realm="parley"${error}`;
}
