import { keyOfPayer, payerOf } from '../../actor.ts';
import type { Payer } from '../../actor.ts';
import type { Deps } from '../../domain/deps.ts';
import { DomainError } from '../../errors.ts';
import {
  createOperationCost,
  OPERATION_POINTS,
  pointsOfDocument,
  pointsOfVariables,
} from './operation-cost.ts';
import type { Operation } from './operation.ts';

/** Applies the limits of operations, the same for every transport. */
export interface OperationGate {
  /** Charges for parsing and validating a document. Throws RATE_LIMITED. */
  admitDocument(text: string, payer: Payer): Promise<void> | undefined;
  /**
   * Runs the work of an operation when its payer may. Throws LIMIT_EXCEEDED for too many statements, RATE_LIMITED when
   * the payer's budget is exhausted.
   */
  run<Result>(operation: Operation, work: () => Promise<Result>): Promise<Result>;
  /** Counts a subscription until the returned function is called. Throws RATE_LIMITED when there are too many. */
  openSubscription(operation: Operation): () => void;
  /** Runs the work for an event of an open subscription. */
  runEvent<Result>(operation: Operation, work: () => Result): Result;
}

/** Address of operations whose client is unknown, as in tests. */
const UNKNOWN = 'unknown';

export function createOperationGate({
  operationLimits: limits,
  databaseShares,
}: Pick<Deps, 'operationLimits' | 'databaseShares'>): OperationGate {
  const cost = createOperationCost();
  return {
    admitDocument: (text, payer) => limits.charge(payer, pointsOfDocument(text)),
    async run(operation, work) {
      const { document, operationName, variables, origin } = operation;
      const payer = payerOfOperation(operation);
      try {
        const statements = cost.countStatements(document, operationName, variables);
        const delay = limits.charge(payer, OPERATION_POINTS + statements + pointsOfVariables(variables));
        if (delay !== undefined) await delay;
        const started = limits.begin(payer, statements);
        const turn = started instanceof Promise ? await started : started;
        try {
          return await databaseShares.run(keyOfPayer(payer), work);
        } finally {
          turn.end();
        }
      } catch (error) {
        if (error instanceof DomainError && error.code === 'LIMIT_EXCEEDED')
          limits.chargeAfterwards(payer, OPERATION_POINTS);
        if (error instanceof DomainError && error.code === 'RATE_LIMITED')
          origin?.onRefused?.(error.details.retryAfterMs ?? 0);
        throw error;
      }
    },
    openSubscription: (operation) => limits.openSubscription(payerOfOperation(operation)),
    runEvent: (operation, work) => databaseShares.run(keyOfPayer(payerOfOperation(operation)), work),
  };
}

/** Requests of one client over HTTP have no connection that identifies it. */
const payerOfOperation = ({ context, origin, legacyConnection }: Operation): Payer =>
  payerOf(
    context.session,
    context.address ?? UNKNOWN,
    origin?.transport === 'graphql-ws' ? origin.id : legacyConnection,
  );
