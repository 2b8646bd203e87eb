import { randomUUID } from 'node:crypto';
import { GraphQLError } from 'graphql';
import { DomainError, ERROR_CODES, isOutage } from '../../errors.ts';
import type { ErrorCode } from '../../errors.ts';
import type { Logger } from '../../log.ts';

/** Turns whatever was thrown into what the caller may see of it. */
export type FormatError = (error: unknown) => GraphQLError;

/**
 * Makes the one place where errors become visible: refusals keep their code and message; an outage of the database is
 * UNAVAILABLE; anything else is a bug, masked, and logged once under the id that the caller sees.
 */
export function createFormatError(log: Logger): FormatError {
  const logged = new WeakMap<object, string>();
  const idOf = (cause: unknown): string => {
    const key = typeof cause === 'object' && cause !== null ? cause : {};
    const known = logged.get(key);
    if (known !== undefined) return known;
    const id = randomUUID();
    logged.set(key, id);
    log.error({ err: cause, id }, 'unexpected error');
    return id;
  };

  return (error) => {
    const cause = causeOf(error);
    const place = isGraphQLError(error) ? error : undefined;
    if (isDomainError(cause)) return located(place, cause.message, { code: cause.code, ...cause.details });
    if (isGraphQLError(cause)) {
      if (codeOf(cause) !== undefined) return cause;
      // The outer one says where in the request the value is. With a path it is about what we answered: a fault of ours.
      if (place?.path === undefined)
        return located(place, place?.message ?? cause.message, { code: 'INVALID_INPUT' });
    }
    if (isOutage(cause)) {
      log.warn({ err: cause }, 'the database or the disk is away');
      return located(place, 'The service is not available right now. Try again later.', {
        code: 'UNAVAILABLE',
      });
    }
    return located(place, 'Unexpected error.', { code: 'INTERNAL', id: idOf(cause) });
  };
}

/** The code of a formatted error; undefined for one that has none of ours. */
export function codeOf(error: GraphQLError): ErrorCode | undefined {
  const code = error.extensions['code'];
  return typeof code === 'string' && code in ERROR_CODES ? (code as ErrorCode) : undefined;
}

/** What a resolver threw, under the wrappings that graphql-js put around it. */
export function causeOf(error: unknown): unknown {
  if (!isGraphQLError(error)) return error;
  const inner = error.originalError ?? error.cause;
  return inner === undefined || inner === null || inner === error ? error : causeOf(inner);
}

function located(
  place: GraphQLError | undefined,
  message: string,
  extensions: Record<string, unknown>,
): GraphQLError {
  return new GraphQLError(message, {
    nodes: place?.nodes,
    source: place?.source,
    positions: place?.positions,
    path: place?.path,
    extensions,
  });
}

const isDomainError = (error: unknown): error is DomainError => error instanceof DomainError;

/** By shape: under a test runner two copies of graphql can meet, and `instanceof` would then miss. */
const isGraphQLError = (error: unknown): error is GraphQLError =>
  error instanceof Error && error.name === 'GraphQLError' && 'extensions' in error;
