import { getOperationAST } from 'graphql';
import type { GraphQLError } from 'graphql';
import type { Logger } from '../../log.ts';
import type { Metrics } from '../metrics.ts';
import { codeOf } from './format-error.ts';
import { fieldsOf } from './operation-fields.ts';
import type { LoggedOperation } from './operation-fields.ts';

type OperationMetrics = Pick<Metrics, 'streamEnds' | 'operationDuration' | 'subscriptions'>;

/** Logs and measures operations and streams. Never logs documents or variables, which hold texts of users. */
export interface OperationLog {
  operationEnded(
    operation: LoggedOperation,
    errors: readonly GraphQLError[] | undefined,
    startedAt: number,
  ): void;
  streamOpened(operation: LoggedOperation, topic: string | undefined, startedAt: number): void;
  /** `error` is the error that the server ended the stream with; undefined when the client or the connection ended it. */
  streamEnded(operation: LoggedOperation, topic: string | undefined, error: GraphQLError | undefined): void;
}

export function createOperationLog(
  log: Logger,
  { streamEnds, operationDuration, subscriptions }: OperationMetrics,
): OperationLog {
  const observe = (operation: LoggedOperation, startedAt: number, outcome: 'ok' | 'error'): void => {
    const { document, operationName, origin } = operation;
    const kind = getOperationAST(document, operationName)?.operation;
    if (kind === undefined || origin === undefined) return;
    const seconds = (performance.now() - startedAt) / 1000;
    operationDuration.observe({ operation: kind, transport: origin.transport, outcome }, seconds);
  };
  return {
    operationEnded(operation, errors, startedAt) {
      observe(operation, startedAt, errors === undefined ? 'ok' : 'error');
      if (!log.isLevelEnabled('debug')) return;
      const durationMs = Math.round(performance.now() - startedAt);
      const codes = errors?.map(codeOf);
      log.debug({ ...fieldsOf(operation), durationMs, ...(codes && { codes }) }, 'operation ended');
    },
    streamOpened(operation, topic, startedAt) {
      observe(operation, startedAt, 'ok');
      if (operation.origin !== undefined) subscriptions.inc({ transport: operation.origin.transport });
      if (!log.isLevelEnabled('debug')) return;
      log.debug({ ...fieldsOf(operation), topic }, 'stream opened');
    },
    streamEnded(operation, topic, error) {
      if (operation.origin !== undefined) subscriptions.dec({ transport: operation.origin.transport });
      if (error !== undefined) {
        const reason = reasonOf(error);
        streamEnds.inc({ reason });
        log.info({ ...fieldsOf(operation), topic, reason }, 'stream ended');
      } else if (log.isLevelEnabled('debug')) {
        // The end of a whole connection is in its own line, at a level of its own.
        const reason = operation.origin?.endReason ?? 'CLIENT';
        log.debug({ ...fieldsOf(operation), topic, reason }, 'stream ended');
      }
    },
  };
}

function reasonOf(error: GraphQLError): string {
  const { reason } = error.extensions;
  return typeof reason === 'string' ? reason : (codeOf(error) ?? 'INTERNAL');
}
