import type { GraphQLError } from 'graphql';
import { codeOf } from './execution/format-error.ts';
import type { Metrics } from './metrics.ts';

/** Counts the formatted errors of a response, by code. */
export function countErrors(
  { errors: counter }: Pick<Metrics, 'errors'>,
  transport: 'http' | 'graphql-ws' | 'admin',
  errors: readonly GraphQLError[] | undefined,
): void {
  for (const error of errors ?? []) counter.inc({ transport, code: codeOf(error) ?? 'INTERNAL' });
}
