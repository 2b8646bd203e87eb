import { getOperationAST } from 'graphql';
import type { GraphQLError } from 'graphql';
import type { Tracing } from '../../tracing.ts';
import { codeOf } from './format-error.ts';
import type { Operation } from './operation.ts';

/** Operation names come from clients; a span holds at most this many characters of one. */
const MAX_NAME_LENGTH = 100;

/** Runs an operation, or opens a subscription, in a span. */
export function runInSpan<Result extends object>(
  tracing: Tracing,
  { document, operationName, origin, legacyConnection, traceParent }: Operation,
  work: () => Promise<Result>,
): Promise<Result> {
  const node = getOperationAST(document, operationName);
  const type = node?.operation ?? 'query';
  const name = node?.name?.value.slice(0, MAX_NAME_LENGTH);
  const attributes = {
    'graphql.operation.type': type,
    ...(name !== undefined && { 'graphql.operation.name': name }),
    'parley.transport': origin?.transport ?? 'socket.io',
    'parley.connection.id': origin?.id ?? legacyConnection ?? 'unknown',
  };
  const kind = origin === undefined ? 'internal' : 'server';
  return tracing.run(type, { kind, attributes, remoteParent: traceParent }, async (span) => {
    const result = await work();
    const [error] = errorsOf(result);
    const code = error === undefined ? undefined : (codeOf(error) ?? 'INTERNAL');
    if (code !== undefined) span.fail(code, code === 'INTERNAL' || code === 'UNAVAILABLE');
    return result;
  });
}

const errorsOf = (result: object): readonly GraphQLError[] =>
  'errors' in result && Array.isArray(result.errors) ? (result.errors as GraphQLError[]) : [];
