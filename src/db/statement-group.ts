import pg from 'pg';
import { types } from './value-parsers.ts';

/** A statement with its parameters. With a name, it is prepared once per connection. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
  readonly name?: string | undefined;
}

/** Members of `pg` that its types lack. */
interface Driver {
  readonly Result: new (rowMode: undefined, types: pg.CustomTypesConfig) => Result;
  readonly utils: { prepareValue(value: unknown): Buffer | string | null };
}

interface Result extends pg.QueryResult {
  addFields(fields: readonly unknown[]): void;
  parseRow(values: readonly unknown[]): pg.QueryResultRow;
  addRow(row: pg.QueryResultRow): void;
  addCommandComplete(message: unknown): void;
}

/** Names of the statements that a connection has prepared, or that were sent to be prepared, with their texts. */
interface Connection extends pg.Connection {
  readonly parsedStatements: Record<string, string>;
  readonly submittedNamedStatements: Record<string, string>;
}

const { Result, utils } = pg as unknown as Driver;

/**
 * Runs statements in one round trip: they are sent together with a single `Sync`, so that the server skips those after
 * one that fails. Returns a promise for each; those of skipped statements are rejected with the same error.
 *
 * The option `pipeline` of pg is no alternative: it sends a `Sync` with each statement, so that the server continues
 * after a failure, and outside a transaction if `begin` was what failed.
 */
export function runTogether(
  client: pg.ClientBase,
  statements: readonly Statement[],
): Promise<pg.QueryResult>[] {
  return client.query(new StatementGroup(statements)).results;
}

/** A custom query of pg, which calls `submit` when the connection is free, and the other methods with the responses. */
class StatementGroup implements pg.Submittable {
  readonly results: Promise<pg.QueryResult>[];
  readonly #entries;
  #connection: Connection | undefined;
  /** Index of the statement that the next response is about. */
  #current = 0;

  constructor(statements: readonly Statement[]) {
    this.#entries = statements.map((statement) => ({
      ...statement,
      values: statement.values.map(utils.prepareValue),
      result: new Result(undefined, types),
      settled: Promise.withResolvers<pg.QueryResult>(),
    }));
    this.results = this.#entries.map(({ settled }) => settled.promise);
  }

  /** Read by pg, which notes prepared statements. */
  get name(): string | undefined {
    return this.#entries[this.#current]?.name;
  }

  get text(): string | undefined {
    return this.#entries[this.#current]?.text;
  }

  get #result(): Result | undefined {
    return this.#entries[this.#current]?.result;
  }

  submit(submitted: pg.Connection): void {
    const connection = submitted as Connection;
    this.#connection = connection;
    connection.stream.cork();
    for (const { name = '', text, values } of this.#entries) {
      if (name === '' || !isPrepared(connection, name)) connection.parse({ name, text, types: [] }, true);
      if (name !== '') connection.submittedNamedStatements[name] = text;
      connection.bind({ statement: name, values }, true);
      connection.describe({ type: 'P' }, true);
      connection.execute(null, true);
    }
    connection.sync();
    connection.stream.uncork();
  }

  handleRowDescription({ fields }: { readonly fields: readonly unknown[] }): void {
    this.#result?.addFields(fields);
  }

  handleDataRow({ fields }: { readonly fields: readonly unknown[] }): void {
    const entry = this.#entries[this.#current];
    try {
      entry?.result.addRow(entry.result.parseRow(fields));
    } catch (error) {
      entry?.settled.reject(error);
    }
  }

  handleCommandComplete(message: unknown): void {
    this.#result?.addCommandComplete(message);
    this.#current += 1;
  }

  handleReadyForQuery(): void {
    for (const { settled, result } of this.#entries) settled.resolve(result);
  }

  /** Called once, when a statement fails or the connection is lost. What completed before has been executed. */
  handleError(error: unknown): void {
    for (const [index, { name, settled, result }] of this.#entries.entries()) {
      if (index < this.#current) settled.resolve(result);
      else settled.reject(error);
      if (index > this.#current && name !== undefined)
        delete this.#connection?.submittedNamedStatements[name];
    }
  }
}

const isPrepared = ({ parsedStatements, submittedNamedStatements }: Connection, name: string): boolean =>
  (parsedStatements[name] ?? submittedNamedStatements[name]) !== undefined;
