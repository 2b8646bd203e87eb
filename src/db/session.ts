import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { Logger } from '../log.ts';
import type { SessionLimits } from './session-limits.ts';

/** How the connections of a URL behave. */
export interface SessionTraits {
  /**
   * Whether a pooler such as PgBouncer is in between, which may assign each transaction another session: what is set
   * for a session reaches other transactions, so limits are set for each transaction.
   */
  readonly isPooled: boolean;
  /** Whether a connection finds the statements that it prepared. */
  readonly keepsStatements: boolean;
  /** The limits that the server accepts, by name. */
  readonly limits: ReadonlyMap<string, string>;
}

/** Members of the client that its types lack. PostgreSQL sends both for cancel requests. */
export interface BackendKey {
  readonly processID: number | null;
  readonly secretKey: number | null;
}

/** Finds out how the connections of the client's URL behave. Warns of limits that the server refuses. */
export async function inspectSession(
  client: pg.Client,
  limits: SessionLimits,
  log: Logger,
): Promise<SessionTraits> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  // A pooler identifies its clients by keys of its own.
  const isPooled = rows[0]?.pid !== (client as pg.Client & BackendKey).processID;
  const accepted = new Map<string, string>();
  for (const [name, value] of Object.entries(limits)) {
    // The network settings are about the connection between pooler and server, which others share.
    if (isPooled && name.startsWith('tcp_')) continue;
    try {
      await client.query('select set_config($1, $2, true)', [name, value]);
      accepted.set(name, value);
    } catch (error) {
      log.warn({ err: error, name }, 'the database refuses a session setting');
    }
  }
  const keepsStatements = !isPooled || (await tracksStatements(client));
  if (isPooled) log.info({ preparedStatements: keepsStatements }, 'database connections are pooled');
  return { isPooled, keepsStatements, limits: accepted };
}

/**
 * Returns whether the pooler prepares statements under names of its own, on whichever session runs them (PgBouncer 1.21
 * and newer with `max_prepared_statements`). Others pass the names through, and they collide or are missing.
 */
async function tracksStatements(client: pg.Client): Promise<boolean> {
  const name = `parley-${randomUUID()}`;
  await client.query('begin');
  await client.query({ name, text: 'select $1::int', values: [1] });
  const { rowCount } = await client.query('select 1 from pg_prepared_statements where name = $1', [name]);
  if (rowCount !== 0) await client.query(`deallocate "${name}"`);
  await client.query('commit');
  return rowCount === 0;
}

/** Sets the limits of a session. */
export async function limitSession(client: pg.ClientBase, { limits }: SessionTraits): Promise<void> {
  if (limits.size > 0) await client.query(setLimits(limits, false));
}

/** Returns the statement that limits a transaction alone; undefined where its session has the limits. */
export const limitsOfTransaction = ({ isPooled, limits }: SessionTraits): string | undefined =>
  isPooled && limits.size > 0 ? setLimits(limits, true) : undefined;

function setLimits(limits: SessionTraits['limits'], isLocal: boolean): string {
  const calls = [...limits].map(([name, value]) => `set_config('${name}', '${value}', ${isLocal})`);
  return `select ${calls.join(', ')}`;
}
