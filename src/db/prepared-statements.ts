import type { PostgresPool, PostgresPoolClient } from 'kysely';
import type pg from 'pg';
import { Pipeline } from './pipeline.ts';
import type { PipelineOptions } from './pipeline.ts';

/** Per pool. A connection keeps its prepared statements until it closes. */
const MAX_PREPARED_STATEMENTS = 500;
/** A statement with more parameters contains a list, and has a different text for each length. */
const MAX_PARAMETERS = 32;

export interface StatementOptions {
  /** Whether a connection finds the statements that it prepared; otherwise nothing is prepared. */
  readonly keepsStatements: boolean;
  readonly pipeline: PipelineOptions;
}

/**
 * Prepares each statement with parameters once per connection, so that PostgreSQL parses it once, and can reuse its
 * plan. Statements beyond the limits, and those without parameters, are sent unprepared.
 *
 * Kysely passes only a text to the pool (https://github.com/kysely-org/kysely/issues/329), and pg prepares only statements
 * with a name (https://node-postgres.com/features/queries#prepared-statements).
 */
export function withPreparedStatements(
  pool: pg.Pool,
  { keepsStatements, pipeline }: StatementOptions,
): PostgresPool {
  const names = createStatementNames(keepsStatements ? MAX_PREPARED_STATEMENTS : 0);
  const clients = new WeakMap<pg.PoolClient, PostgresPoolClient>();
  return {
    options: pool.options,
    end: () => pool.end(),
    async connect() {
      const client = await pool.connect();
      const cached = clients.get(client);
      if (cached !== undefined) return cached;
      const wrapped = wrapClient(client, names, new Pipeline(client, pipeline));
      clients.set(client, wrapped);
      return wrapped;
    },
  };
}

type StatementNames = ReturnType<typeof createStatementNames>;

/** Assigns names to statements, the same on every connection of a pool. */
function createStatementNames(maxNames: number) {
  const names = new Map<string, string>();
  let count = 0;
  return {
    getName(text: string, parameters: readonly unknown[]): string | undefined {
      if (parameters.length === 0 || parameters.length > MAX_PARAMETERS) return undefined;
      const existing = names.get(text);
      if (existing !== undefined || names.size >= maxNames) return existing;
      const name = `parley-${(count += 1)}`;
      names.set(text, name);
      return name;
    },
    /** Assigns new names, so that every statement is prepared again. */
    reset: () => names.clear(),
  };
}

function wrapClient(client: pg.PoolClient, names: StatementNames, pipeline: Pipeline): PostgresPoolClient {
  const query = async (text: string, values: readonly unknown[]): Promise<pg.QueryResult> => {
    const name = names.getName(text, values);
    const { inTransaction } = pipeline;
    try {
      return await pipeline.run({ name, text, values });
    } catch (error) {
      if (name === undefined || !isOutdated(error)) throw error;
      names.reset();
      // A failed transaction accepts no further statements: the caller has to repeat it.
      if (inTransaction) throw error;
      return pipeline.run({ text, values });
    }
  };
  return {
    query: query as unknown as PostgresPoolClient['query'],
    release: (destroy) => client.release(destroy),
  };
}

/**
 * Checks for "cached plan must not change result type": a migration of another node changed a column. PostgreSQL has no
 * error code of its own for it (0A000, `feature_not_supported`), only the routine that raised it. pg 8.23 leaves the retry
 * to its caller; postgres.js does it itself (https://github.com/porsager/postgres/pull/195).
 */
const isOutdated = (error: unknown): boolean =>
  error instanceof Error && 'routine' in error && error.routine === 'RevalidateCachedQuery';
