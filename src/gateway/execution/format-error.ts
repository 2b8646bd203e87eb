import { randomUUID } from 'node:crypto';
import { GraphQLError } from 'graphql';
import { DomainError, ERROR_CODES, isOutage, withoutStackTraces } from '../../errors.ts';
import type { ErrorCode } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { isGraphQLError } from '../../schema/graphql-error.ts';
import { fieldsOf } from './operation-fields.ts';
import type { LoggedOperation } from './operation-fields.ts';

/** Converts a thrown value into the error that the caller may see. What is logged of it has the fields of the operation. */
export type FormatError = (error: unknown, operation?: LoggedOperation) => GraphQLError;

/**
 * Creates the formatter of errors for every transport. A `DomainError` keeps its code and message; an outage becomes
 * UNAVAILABLE; any other error is a bug, masked, and logged once under the id that the caller receives.
 */
export function createFormatError(log: Logger): FormatError {
  const loggedIds = new WeakMap<object, string>();
  const idOf = (cause: unknown, operation: LoggedOperation | undefined): string => {
    const key = typeof cause === 'object' && cause !== null ? cause : {};
    const known = loggedIds.get(key);
    if (known !== undefined) return known;
    const id = randomUUID();
    loggedIds.set(key, id);
    log.error({ err: cause, id, ...(operation && fieldsOf(operation)) }, 'unexpected error');
    return id;
  };

  return (error, operation) => {
    const cause = causeOf(error);
    const location = isGraphQLError(error) ? error : undefined;
    if (isDomainError(cause))
      return withLocation(location, cause.message, { code: cause.code, ...cause.details });
    if (isGraphQLError(cause)) {
      if (codeOf(cause) !== undefined) return cause;
      // The outer error locates the value in the request. With a path it is about our result, so it is a bug.
      if (location?.path === undefined)
        return withLocation(location, location?.message ?? cause.message, { code: 'INVALID_INPUT' });
    }
    if (isOutage(cause)) {
      log.warn({ err: cause, ...(operation && fieldsOf(operation)) }, 'database or disk unavailable');
      return withLocation(location, 'The service is temporarily unavailable. Try again later.', {
        code: 'UNAVAILABLE',
      });
    }
    return withLocation(location, 'Unexpected error.', { code: 'INTERNAL', id: idOf(cause, operation) });
  };
}

/** Returns the code of a formatted error; undefined for a code that is not in `ERROR_CODES`. */
export function codeOf(error: GraphQLError): ErrorCode | undefined {
  const code = error.extensions['code'];
  return typeof code === 'string' && code in ERROR_CODES ? (code as ErrorCode) : undefined;
}

/** Returns the error that a resolver threw, without the GraphQLErrors that graphql-js wraps around it. */
export function causeOf(error: unknown): unknown {
  if (!isGraphQLError(error)) return error;
  const inner = error.originalError ?? error.cause;
  return inner === undefined || inner === null || inner === error ? error : causeOf(inner);
}

function withLocation(
  location: GraphQLError | undefined,
  message: string,
  extensions: Record<string, unknown>,
): GraphQLError {
  return withoutStackTraces(
    () =>
      new GraphQLError(message, {
        nodes: location?.nodes,
        source: location?.source,
        positions: location?.positions,
        path: location?.path,
        extensions,
      }),
  );
}

const isDomainError = (error: unknown): error is DomainError => error instanceof DomainError;
