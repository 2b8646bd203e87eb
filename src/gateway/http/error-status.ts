import { GraphQLError } from 'graphql';
import type { ExecutionResult } from 'graphql';
import { DomainError, ERROR_CODES } from '../../errors.ts';
import { codeOf } from '../execution/format-error.ts';
import type { FormatError } from '../execution/format-error.ts';
import { MAX_BODY_BYTES } from './request-body.ts';
import { retryAfterSeconds } from './respond.ts';

/**
 * Gives every error of a result without data a code and an HTTP status; some are Yoga's own and have no code yet. With
 * `streamed`, the response is an event stream.
 */
export function withCodes(
  result: ExecutionResult,
  formatError: FormatError,
  streamed: boolean,
): ExecutionResult {
  if (result.errors === undefined || result.data !== undefined) return result;
  const withCode = (error: GraphQLError): GraphQLError => {
    if (codeOf(error) !== undefined) return error;
    if (error.cause instanceof SyntaxError) return formatError(malformedParametersError());
    return formatError(statusOf(error) === 413 ? bodyTooLargeError() : error);
  };
  return { ...result, errors: result.errors.map((error) => withStatus(withCode(error), error, streamed)) };
}

/**
 * Sets `extensions.http`, which Yoga reads and removes: the status of the error's code, or that of `original`, the error
 * before formatting. With `spec`, Yoga ignores the status where the specifications say 200: for a rejected document with
 * `Accept: application/json`, and for any error with `Accept: text/event-stream` alone
 * (https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md).
 */
export function withStatus(
  error: GraphQLError,
  original: GraphQLError = error,
  streamed = false,
): GraphQLError {
  const { message, nodes, source, positions, path, extensions } = error;
  const status = ERROR_CODES[codeOf(error) ?? 'INTERNAL'].http;
  const retryAfter = retryAfterSeconds(error);
  const http = {
    status,
    ...(retryAfter !== undefined && { headers: { 'retry-after': String(retryAfter) } }),
    ...original.extensions['http'],
    spec: streamed || (status === 400 && codeOf(original) !== undefined),
  };
  return new GraphQLError(message, { nodes, source, positions, path, extensions: { ...extensions, http } });
}

const statusOf = ({ extensions: { http } }: GraphQLError): unknown =>
  typeof http === 'object' && http !== null && 'status' in http ? http.status : undefined;

const bodyTooLargeError = (): DomainError =>
  new DomainError('LIMIT_EXCEEDED', `A request may have at most ${MAX_BODY_BYTES} bytes.`, {
    limit: `${MAX_BODY_BYTES} bytes`,
  });

/** For `variables` and `extensions` in a URL or form, which are JSON. */
const malformedParametersError = (): DomainError =>
  new DomainError('INVALID_INPUT', '`variables` and `extensions` must be JSON.');
