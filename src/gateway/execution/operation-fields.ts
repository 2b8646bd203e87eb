import { getOperationAST } from 'graphql';
import { actorKey } from '../../actor.ts';
import type { ActorKey } from '../../actor.ts';
import type { Context } from '../../schema/context.ts';
import type { Operation } from './operation.ts';

/** Operation names and ids come from clients; a log line or a span holds at most this many characters of one. */
const MAX_LENGTH = 100;

export type LoggedOperation = Pick<
  Operation,
  'document' | 'operationName' | 'operationId' | 'context' | 'origin' | 'legacyConnection'
>;

/** Fields of log lines by which an operation is found. Never its document or variables, which hold texts of users. */
export interface OperationFields {
  readonly connection: string | undefined;
  readonly transport: string;
  readonly account: ActorKey | undefined;
  /** Its kind and name. */
  readonly operation: string;
  readonly operationId: string | undefined;
}

export function fieldsOf(operation: LoggedOperation): OperationFields {
  const { context, origin, legacyConnection, operationId } = operation;
  return {
    connection: origin?.id ?? legacyConnection,
    transport: origin?.transport ?? 'socket.io',
    account: accountOf(context),
    operation: nameOperation(operation),
    operationId: operationId?.slice(0, MAX_LENGTH),
  };
}

export type NamedOperation = Pick<Operation, 'document' | 'operationName'>;

/** Returns the kind and the name of an operation, for example `subscription Chat`. */
export function nameOperation(operation: NamedOperation): string {
  const { type, name = 'anonymous' } = typeAndName(operation);
  return type === undefined ? name : `${type} ${name}`;
}

/** Returns the kind of an operation, and its name; each undefined if it has none. */
export function typeAndName({ document, operationName }: NamedOperation) {
  const node = getOperationAST(document, operationName);
  return { type: node?.operation, name: node?.name?.value.slice(0, MAX_LENGTH) };
}

const accountOf = ({ session }: Context): ActorKey | undefined =>
  session === null ? undefined : actorKey(session.actor);
