import { payerOf } from '../../actor.ts';
import type { Payer } from '../../actor.ts';
import type { Deps } from '../../domain/deps.ts';
import { DomainError, unauthenticated } from '../../errors.ts';
import { FairQueue } from '../../lib/fair-queue.ts';
import type { TurnClock } from '../../lib/turn-clock.ts';
import { countCharacters, createOperationCost, MAX_STATEMENTS, pointsOfDocument } from './operation-cost.ts';
import type { Cost } from './operation-cost.ts';
import { LargeOperations } from './large-operations.ts';
import { isLogin, mayBeLogin } from './login-operation.ts';
import type { Operation } from './operation.ts';

/** Applies the limits of operations, the same for every transport. */
export interface OperationGate {
  /** Charges for parsing and validating a document. Throws RATE_LIMITED. */
  admitDocument(text: string, payer: Payer): Promise<void>;
  /**
   * Runs the work of an operation when its payer may. Throws LIMIT_EXCEEDED for too many statements, RATE_LIMITED when
   * the payer's budget is exhausted, UNAUTHENTICATED if the session of its connection has ended unnoticed.
   */
  run<Result>(operation: Operation, work: () => Promise<Result> | Result): Promise<Result>;
  /** Whether all statements of the operation run in batches of several clients. */
  isBatched(operation: Operation): boolean;
  /** Counts a subscription until `closeSubscription` is called. Throws RATE_LIMITED when there are too many. */
  openSubscription(operation: Operation): void;
  closeSubscription(operation: Operation): void;
  /** Runs the work for an event of an open subscription, in a turn of the event loop that has time left. */
  runEvent<Result>(operation: Operation, work: () => Promise<Result> | Result): Promise<Result>;
}

/** Rows of a result that cost a point. */
const ROWS_PER_POINT = 10;

type Turn = Awaited<ReturnType<Deps['operationLimits']['begin']>>;

/** Address of operations whose client is unknown, as in tests. */
const UNKNOWN = 'unknown';

/** Dependencies of the limits of operations. */
export interface OperationGateDeps extends Pick<
  Deps,
  'operationLimits' | 'databaseShares' | 'reportRefusal'
> {
  readonly tails: Pick<Deps['tails'], 'isCurrent'>;
  readonly batchedReads: Pick<Deps['batchedReads'], 'isActive'>;
  readonly turnClock: TurnClock;
}

export function createOperationGate({
  operationLimits: limits,
  databaseShares,
  reportRefusal,
  tails,
  batchedReads,
  turnClock,
}: OperationGateDeps): OperationGate {
  const cost = createOperationCost();
  const largeOperations = new LargeOperations();
  const unknownDocuments = new FairQueue({ concurrency: 1 });

  const begin = (payer: Payer, { statements, points }: Cost): Turn | Promise<Turn> =>
    limits.slowly(() => {
      const delay = limits.charge(payer, points);
      return delay === undefined
        ? limits.begin(payer, statements)
        : delay.then(() => limits.begin(payer, statements));
    });

  /** Checks a session that was authenticated when its connection was opened. */
  const requireActiveSession = async ({ context, origin, legacyConnection }: Operation): Promise<void> => {
    const isOfConnection = origin?.transport === 'graphql-ws' || legacyConnection !== undefined;
    const { session } = context;
    if (isOfConnection && session !== null && !(await batchedReads.isActive(session)))
      throw unauthenticated();
  };

  return {
    async admitDocument(text, payer) {
      if (mayBeLogin(text)) return;
      await limits.slowly(() => limits.charge(payer, pointsOfDocument(text)));
      // Parsing follows immediately: one document per turn of the event loop.
      const slot = await unknownDocuments.acquire(payer.key);
      setImmediate(() => slot.release());
    },
    async run(operation, work) {
      if (!tails.isCurrent) await requireActiveSession(operation);
      const { document, operationName, variables } = operation;
      const payer = payerOfOperation(operation);
      if (payer.account === undefined && isLogin(document, operationName))
        return databaseShares.run(`logins ${payer.address}`, work);
      const operationCost = cost.of(document, operationName, variables);
      const { key } = payer;
      const begun = begin(payer, operationCost);
      const turn = begun instanceof Promise ? await begun : begun;
      try {
        if (operationCost.statements > MAX_STATEMENTS) {
          reportRefusal('statements', payer);
          throw tooManyStatementsError();
        }
        if (operationCost.isBatched) return await work();
        if (!largeOperations.isLarge(key, operationCost)) return await databaseShares.run(key, work);
        return await largeOperations.run(key, () => databaseShares.run(key, work));
      } finally {
        const { loadedRows } = operation.context;
        if (loadedRows >= ROWS_PER_POINT) limits.chargeAfterwards(payer, loadedRows / ROWS_PER_POINT);
        largeOperations.noteRows(key, loadedRows);
        turn.end();
      }
    },
    isBatched: ({ document, operationName, variables }) =>
      cost.of(document, operationName, variables).isBatched,
    openSubscription: (operation) => limits.openSubscription(payerOfOperation(operation), sizeOf(operation)),
    closeSubscription: (operation) =>
      limits.closeSubscription(payerOfOperation(operation), sizeOf(operation)),
    async runEvent(operation, work) {
      const { account, key } = payerOfOperation(operation);
      if (turnClock.isOver()) await turnClock.nextTurn(account === undefined ? undefined : key);
      return databaseShares.run(key, work);
    },
  };
}

const sizeOf = ({ document, variables, retainedLength }: Operation) => ({
  document,
  documentCharacters: document.loc?.end ?? 0,
  characters: retainedLength ?? countCharacters(variables),
});

const tooManyStatementsError = (): DomainError =>
  new DomainError(
    'LIMIT_EXCEEDED',
    `The operation could cause more than ${MAX_STATEMENTS} database statements. Select fewer root fields, nodes or lists.`,
    { limit: `statements ${MAX_STATEMENTS}` },
  );

/** Requests of one client over HTTP have no connection that identifies it. */
const payerOfOperation = ({ context, origin, legacyConnection }: Operation): Payer =>
  payerOf(
    context.session,
    context.address ?? UNKNOWN,
    origin?.transport === 'graphql-ws' ? origin.id : legacyConnection,
  );
