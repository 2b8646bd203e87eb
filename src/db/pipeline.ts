import type pg from 'pg';
import { isUnavailable, OutcomeUnknownError } from '../errors.ts';
import { runTogether } from './statement-group.ts';
import type { Statement } from './statement-group.ts';

export interface PipelineOptions {
  /** Sends one statement at a time: round trips cost nothing. Those after one that fails are skipped all the same. */
  readonly isOff: boolean;
  /** A statement that is sent behind the one that begins a transaction. */
  readonly transactionLimits?: string | undefined;
}

/** The statements with which Kysely begins transactions. */
const BEGIN = /^(begin|start transaction)\b/;
const COMMIT = 'commit';
const ROLLBACK = 'rollback';

interface Pending {
  readonly statement: Statement;
  readonly resolve: (result: pg.QueryResult | Promise<pg.QueryResult>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Sends the statements of a transaction that are started in the same turn of the event loop together, and those that are
 * started while others are in flight after them: each turn to the database is one round trip. After one that fails, the
 * others of its turn are not executed, and fail with the same error.
 *
 * The statement that begins the transaction waits for the first one behind it. Throws `OutcomeUnknownError` for a commit
 * that the server neither confirms nor refuses.
 */
export class Pipeline {
  readonly #client: pg.PoolClient;
  readonly #options: PipelineOptions;
  #pending: Pending[] = [];
  /** Resolves after the last turn that is in flight or pending. Does not reject. */
  #lastTurn: Promise<void> = Promise.resolve();
  #transaction: TransactionState | undefined;

  constructor(client: pg.PoolClient, options: PipelineOptions) {
    this.#client = client;
    this.#options = options;
  }

  get inTransaction(): boolean {
    return this.#transaction !== undefined;
  }

  async run(statement: Statement): Promise<pg.QueryResult> {
    const { text } = statement;
    if (BEGIN.test(text)) return this.#begin(statement);
    const transaction = this.#transaction;
    if (transaction === undefined) return this.#client.query(toConfig(statement));
    if (text === ROLLBACK) return this.#rollBack(transaction, statement);
    if (transaction.isEnding) throw new Error('A statement was started behind the end of its transaction');
    if (text === COMMIT) return this.#commit(transaction, statement);
    return this.#enqueueInTransaction(transaction, statement);
  }

  #begin(statement: Statement): pg.QueryResult {
    const { transactionLimits: text } = this.#options;
    const unsent = text === undefined ? [statement] : [statement, { text, values: [] }];
    this.#transaction = { unsent, isEnding: false };
    return emptyResult('BEGIN');
  }

  async #commit(transaction: TransactionState, statement: Statement): Promise<pg.QueryResult> {
    transaction.isEnding = true;
    try {
      const isEmpty = transaction.unsent.length > 0;
      const result = isEmpty
        ? emptyResult('COMMIT')
        : await this.#enqueueInTransaction(transaction, statement);
      this.#transaction = undefined;
      return result;
    } catch (error) {
      transaction.commitError = error;
      // Kysely rolls back, which shows whether the server is still there.
      throw isUnavailable(error) ? new OutcomeUnknownError(error) : error;
    }
  }

  /** Sent alone, because the server skips what is behind a statement that fails. */
  async #rollBack(transaction: TransactionState, statement: Statement): Promise<pg.QueryResult> {
    transaction.isEnding = true;
    const { unsent, commitError } = transaction;
    try {
      await this.#lastTurn;
      return unsent.length > 0 ? emptyResult('ROLLBACK') : await this.#client.query(toConfig(statement));
    } catch (error) {
      throw commitError === undefined ? error : new OutcomeUnknownError(commitError);
    } finally {
      this.#transaction = undefined;
    }
  }

  #enqueueInTransaction(transaction: TransactionState, statement: Statement): Promise<pg.QueryResult> {
    for (const beginning of transaction.unsent.splice(0))
      this.#enqueue(beginning).catch((error: unknown) => (transaction.beginError = error));
    return this.#enqueue(statement);
  }

  #enqueue(statement: Statement): Promise<pg.QueryResult> {
    const { promise, resolve, reject } = Promise.withResolvers<pg.QueryResult>();
    if (this.#pending.length === 0) this.#lastTurn = this.#sendAfter(this.#lastTurn);
    this.#pending.push({ statement, resolve, reject });
    return promise;
  }

  async #sendAfter(previous: Promise<void>): Promise<void> {
    await Promise.all([previous, noMoreCallbacks()]);
    const turn = this.#pending;
    this.#pending = [];
    const fail = (error: unknown): void => {
      for (const { reject } of turn) reject(error);
    };
    const beginError = this.#transaction?.beginError;
    // Outside a transaction, each statement would be executed, and committed.
    if (beginError !== undefined) return fail(beginError);
    try {
      const results = this.#send(turn.map(({ statement }) => statement));
      for (const [index, { resolve }] of turn.entries()) resolve(results[index] ?? missing());
      await Promise.allSettled(results);
    } catch (error) {
      fail(error);
    }
  }

  #send(statements: readonly Statement[]): Promise<pg.QueryResult>[] {
    const [first] = statements;
    if (this.#options.isOff) return runInSequence(this.#client, statements);
    // A group shows whether a commit was executed when the connection is lost directly after it.
    if (first !== undefined && statements.length === 1 && first.text !== COMMIT)
      return [this.#client.query(toConfig(first))];
    return runTogether(this.#client, statements);
  }
}

interface TransactionState {
  /** The statements that begin it, while they wait for another one. */
  readonly unsent: Statement[];
  isEnding: boolean;
  beginError?: unknown;
  commitError?: unknown;
}

/** Resolves once no promise has a callback left to run: none of them could add a statement. */
const noMoreCallbacks = (): Promise<void> =>
  new Promise((resolve) => queueMicrotask(() => process.nextTick(resolve)));

function runInSequence(client: pg.PoolClient, statements: readonly Statement[]): Promise<pg.QueryResult>[] {
  let previous: Promise<unknown> = Promise.resolve();
  return statements.map((statement) => {
    const result = previous.then(() => client.query(toConfig(statement)));
    previous = result;
    return result;
  });
}

const toConfig = ({ name, text, values }: Statement): pg.QueryConfig =>
  name === undefined ? { text, values: [...values] } : { name, text, values: [...values] };

const emptyResult = (command: string): pg.QueryResult => ({
  command,
  rowCount: null,
  oid: 0,
  fields: [],
  rows: [],
});

function missing(): never {
  throw new Error('A statement has no result');
}
