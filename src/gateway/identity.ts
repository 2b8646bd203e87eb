import type { IncomingMessage } from 'node:http';
import { getOperationAST, Kind } from 'graphql';
import type { ExecutionResult, OperationDefinitionNode } from 'graphql';
import type { Session } from '../actor.ts';
import type { LiveSession } from '../domain/sessions.ts';
import { DomainError } from '../errors.ts';
import { findTokenInRequest } from './bearer-token.ts';
import type { FoundToken } from './bearer-token.ts';
import { codeOf } from './execution/format-error.ts';
import type { Operation } from './execution/operation.ts';
import type { Ports } from './ports.ts';

/** The session of a token, or why the token was not accepted. All are undefined when none was sent. */
export interface Identity<Session> {
  readonly session?: Session | undefined;
  readonly tokenProblem?: string | undefined;
  readonly presentedToken?: string | undefined;
}

/**
 * Authenticates the token of a request, and marks its connection as that of a logged-in client. A bad token counts as no
 * token: its problem is returned, for operations that require a login. Throws when the token cannot be checked because of
 * an outage.
 */
export async function identify<Found extends Session | LiveSession>(
  { addressOf, connectionSlots }: Pick<Ports, 'addressOf' | 'connectionSlots'>,
  request: IncomingMessage,
  found: FoundToken | undefined,
  authenticate: (token: string, address: string) => Promise<Found>,
): Promise<Identity<Found>> {
  if (found === undefined) return {};
  if (found.token === undefined) return { tokenProblem: found.problem };
  try {
    const session = await authenticate(found.token, addressOf(request));
    const { actor } = 'session' in session ? session.session : session;
    connectionSlots.identify(request.socket, actor);
    return { session, presentedToken: found.token };
  } catch (error) {
    if (error instanceof DomainError && error.code === 'UNAUTHENTICATED')
      return { tokenProblem: error.message, presentedToken: found.token };
    throw error;
  }
}

/**
 * Drops the data of an HTTP result, so that it is sent with 401, if a field required a login and no field has data. A
 * partial result is unchanged and is sent with 200.
 */
export function rejectWithoutLogin(
  result: ExecutionResult,
  { context, document, operationName }: Pick<Operation, 'context' | 'document' | 'operationName'>,
): ExecutionResult {
  if (!context.lacksLogin || Object.values(result.data ?? {}).some((value) => value !== null)) return result;
  const operation = getOperationAST(document, operationName);
  if (operation?.operation === 'mutation' && !isFirstFieldFailed(operation, result)) return result;
  return { errors: (result.errors ?? []).filter((error) => codeOf(error) === 'UNAUTHENTICATED') };
}

/** If a later field of a mutation failed, the fields before it have run, and a 401 would make clients repeat them. */
function isFirstFieldFailed(
  { selectionSet: { selections } }: OperationDefinitionNode,
  { errors }: ExecutionResult,
): boolean {
  const [first] = selections;
  return first?.kind === Kind.FIELD && errors?.[0]?.path?.[0] === (first.alias ?? first.name).value;
}

/** Returns the challenge of a 401 (RFC 9110, 11.6.1; RFC 6750, 3), with an `error` only if a token was sent. */
export function challengeOf(request: IncomingMessage): string {
  const found = findTokenInRequest(request);
  const wasSent = found !== undefined && found.isBlank !== true;
  const error = wasSent
    ? ', error="invalid_token", error_description="The token is malformed, expired, revoked or of no active account."'
    : '';
  return `Bearer realm="parley"${error}`;
}
