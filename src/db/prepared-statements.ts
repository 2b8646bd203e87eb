import type { PostgresPool, PostgresPoolClient } from 'kysely';
import type pg from 'pg';

/** Every connection keeps what it has prepared until it is closed. */
const MAX_PREPARED = 500;
/** A statement with more of them has a list of them in it, and another text for every length of that. */
const MAX_PARAMETERS = 32;

/**
 * Prepares each statement with parameters once per connection, so that the database parses it, and mostly plans it, that
 * one time. Statements beyond the bounds are sent whole, as are those without parameters.
 */
export function withPreparedStatements(pool: pg.Pool): PostgresPool {
  const names = createNames();
  const clients = new WeakMap<pg.PoolClient, PostgresPoolClient>();
  return {
    options: pool.options,
    end: () => pool.end(),
    async connect() {
      const client = await pool.connect();
      const known = clients.get(client);
      if (known !== undefined) return known;
      const withPreparedStatements = preparingClient(client, names);
      clients.set(client, withPreparedStatements);
      return withPreparedStatements;
    },
  };
}

type Names = ReturnType<typeof createNames>;

/** The names of statements, the same on every connection of a pool. */
function createNames() {
  const names = new Map<string, string>();
  let named = 0;
  return {
    nameOf(text: string, parameters: readonly unknown[]): string | undefined {
      if (parameters.length === 0 || parameters.length > MAX_PARAMETERS) return undefined;
      const known = names.get(text);
      if (known !== undefined || names.size === MAX_PREPARED) return known;
      const name = `parley-${(named += 1)}`;
      names.set(text, name);
      return name;
    },
    /** Has everything prepared anew, under other names. */
    forget: () => names.clear(),
  };
}

function preparingClient(client: pg.PoolClient, names: Names): PostgresPoolClient {
  const query = async (text: string, parameters: readonly unknown[]): Promise<pg.QueryResult> => {
    const values = [...parameters];
    const name = names.nameOf(text, parameters);
    if (name === undefined) return client.query(text, values);
    try {
      return await client.query({ name, text, values });
    } catch (error) {
      if (!isOutdated(error)) throw error;
      names.forget();
      // Of a failed transaction nothing can be asked any more.
      if (client.getTransactionStatus() !== 'I') throw error;
      return client.query(text, values);
    }
  };
  return {
    query: query as unknown as PostgresPoolClient['query'],
    release: (destroy) => client.release(destroy),
  };
}

/** Another node has changed the type of a column of a prepared statement's answer. */
const isOutdated = (error: unknown): boolean =>
  error instanceof Error && 'routine' in error && error.routine === 'RevalidateCachedQuery';
