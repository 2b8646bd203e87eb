import type { IncomingMessage } from 'node:http';
import type { ExecutionResult } from 'graphql';
import { accountKey } from '../../actor.ts';
import { createContext } from '../../schema/context.ts';
import type { Operation } from '../execution/operation.ts';
import { rejectWithoutLogin } from '../identity.ts';
import type { GraphqlHttpPorts } from './graphql-ports.ts';
import { requestIdOf } from './operation-origin.ts';

/** The parts of an operation that its parameters determine. */
export type RequestedOperation = Pick<Operation, 'document' | 'operationName' | 'variables'>;

/** Counts an operation over HTTP. Adds what its request says about it. */
export function receiveOperation(
  { metrics }: Pick<GraphqlHttpPorts, 'metrics'>,
  operation: RequestedOperation,
  request: IncomingMessage,
): Omit<Operation, 'context'> {
  metrics.operations.inc({ transport: 'http' });
  return {
    ...operation,
    traceParent: request.headers['traceparent'],
    operationId: requestIdOf(request),
  };
}

/** Executes a query or mutation with the session of its request. The result has no data if it lacks a login. */
export async function executeRequest(
  ports: GraphqlHttpPorts,
  requested: RequestedOperation,
  request: IncomingMessage,
  signal: AbortSignal,
): Promise<ExecutionResult> {
  const { deps, engine, formatError, identifyRequest, originOf, turnClock } = ports;
  const operation = receiveOperation(ports, requested, request);
  try {
    const { session = null, ...identity } = await identifyRequest(request);
    if (turnClock.isOver()) await turnClock.nextTurn(accountKey(session?.actor));
    const origin = originOf(request);
    const { address } = origin;
    const context = createContext({ deps, session, address, ...identity, signal });
    const result = await engine.execute({ ...operation, context, origin });
    return rejectWithoutLogin(result, { ...requested, context });
  } catch (error) {
    return { errors: [formatError(error)] };
  }
}
