import type { GraphQLError } from 'graphql';
import type { Tracing } from '../../tracing.ts';
import { codeOf } from './format-error.ts';
import type { Operation } from './operation.ts';
import { typeAndName } from './operation-fields.ts';

/** Runs an operation, or opens a subscription, in a span. */
export function runInSpan<Result extends object>(
  tracing: Tracing,
  operation: Operation,
  work: () => Promise<Result>,
): Promise<Result> {
  const { origin, legacyConnection, traceParent } = operation;
  const { type = 'query', name } = typeAndName(operation);
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
