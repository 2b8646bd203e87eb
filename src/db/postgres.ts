import { callbackify } from 'node:util';
import pg from 'pg';
import { Kysely, PostgresDialect, sql } from 'kysely';
import type { PostgresPool } from 'kysely';
import type { Logger } from '../log.ts';
import { WatchedClient } from './client.ts';
import { ColumnNames } from './column-names.ts';
import { createFairPool } from './fair-pool.ts';
import { APPLICATION_NAME } from './frozen-sessions.ts';
import type { DatabaseShares, FairPoolOptions, PoolUse } from './fair-pool.ts';
import { withPreparedStatements } from './prepared-statements.ts';
import { inspectSession, limitSession, limitsOfTransaction } from './session.ts';
import type { SessionLimits } from './session-limits.ts';
import type { SessionTraits } from './session.ts';
import type { Tables } from './tables.ts';
import { types } from './value-parsers.ts';

/** Longest wait for a free or new connection. After it the query fails as unavailable. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Two, so that a query that waits cannot delay the heartbeat. */
const CONTROL_CONNECTIONS = 2;
/** A heartbeat is due each 5 s, and a probe of readiness has 2 s. */
const CONTROL_LIMITS = { lock_timeout: '2s', statement_timeout: '3s' };
const CONTROL_TIMEOUT_MS = 4_000;
/** Longer than the interval of heartbeats, which keep one connection open. */
const CONTROL_IDLE_MS = 15_000;

/** A server with the properties of all connections to its URL. */
export interface Server {
  readonly url: string;
  readonly traits: SessionTraits;
  readonly inactivityTimeoutMs: number;
  readonly log: Logger;
}

/** Connects once, to find out how the connections of the URL behave. Throws when the server is unreachable. */
export async function inspectServer(
  options: Omit<Server, 'traits'> & { readonly limits: SessionLimits },
): Promise<Server> {
  const { url, inactivityTimeoutMs, limits, log } = options;
  const client = new WatchedClient({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    application_name: APPLICATION_NAME,
  });
  client.watch(inactivityTimeoutMs);
  client.on('error', (error) => log.debug({ err: error }, 'database connection lost'));
  try {
    await client.connect();
    return { url, inactivityTimeoutMs, log, traits: await inspectSession(client, limits, log) };
  } finally {
    await client.end();
  }
}

/** A query builder with the pool that its statements share. */
export interface SharedPool {
  readonly db: Kysely<Tables>;
  readonly shares: DatabaseShares;
  readonly use: PoolUse;
}

/** Opens the pool for the statements of requests. It connects with its first query. */
export function openPool(
  server: Server,
  { size, ...options }: { readonly size: number } & Pick<FairPoolOptions, 'watch' | 'tracing'>,
): SharedPool {
  const pool = createPool(server, { max: size, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  return createQueryBuilder(
    pool,
    { concurrency: size, timeoutMs: CONNECT_TIMEOUT_MS, ...options },
    server.traits,
  );
}

/** Opens connections for what must work while all connections of the pool are busy. */
export function openControl(server: Server): Kysely<Tables> {
  const limits = new Map([...server.traits.limits, ...Object.entries(CONTROL_LIMITS)]);
  const pool = createPool(
    {
      ...server,
      inactivityTimeoutMs: Math.min(CONTROL_TIMEOUT_MS, server.inactivityTimeoutMs),
      traits: { ...server.traits, limits },
    },
    {
      max: CONTROL_CONNECTIONS,
      connectionTimeoutMillis: CONTROL_TIMEOUT_MS,
      idleTimeoutMillis: CONTROL_IDLE_MS,
    },
  );
  return createKysely(pool);
}

/** Opens one connection, whose statements may take any time. */
export const openConnection = (server: Server): Kysely<Tables> =>
  createKysely(
    createPool(
      { ...server, inactivityTimeoutMs: 0 },
      { max: 1, connectionTimeoutMillis: CONNECT_TIMEOUT_MS },
    ),
  );

function createPool({ url, traits, inactivityTimeoutMs, log }: Server, options: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool({
    ...options,
    connectionString: url,
    keepAlive: true,
    Client: WatchedClient,
    types,
    application_name: APPLICATION_NAME,
    ...(!traits.isPooled && {
      // Called for each new connection.
      verify: callbackify((client: pg.PoolClient) => limitSession(client, traits)),
    }),
  });
  pool.on('error', (error) => log.warn({ err: error }, 'idle database connection lost'));
  // Idle connections have no traffic.
  pool.on('acquire', (client) => (client as unknown as WatchedClient).watch(inactivityTimeoutMs));
  pool.on('release', (_error, client) => (client as unknown as WatchedClient).unwatch());
  // pg-pool listens for errors on idle clients only. Without a listener, the loss of a client in use (which fails its
  // query anyway) would be an uncaught `error` event.
  pool.on('connect', (client) =>
    client.on('error', (error) => log.debug({ err: error }, 'database connection lost')),
  );
  return pool;
}

/** Creates the query builder of a pool whose connections are shared fairly. */
export function createQueryBuilder(
  pool: pg.Pool,
  options: FairPoolOptions,
  traits?: SessionTraits,
): SharedPool {
  const prepared = withPreparedStatements(pool, {
    keepsStatements: traits?.keepsStatements ?? true,
    pipeline: { isOff: traits === undefined, transactionLimits: traits && limitsOfTransaction(traits) },
  });
  const fairPool = createFairPool(prepared, options);
  return { db: createKysely(fairPool.pool), shares: fairPool.shares, use: fairPool.use };
}

const createKysely = (pool: PostgresPool): Kysely<Tables> =>
  new Kysely<Tables>({
    dialect: new PostgresDialect({ pool }),
    plugins: [new ColumnNames()],
  });

/** Runs a trivial query. Throws when the database is unavailable. */
export async function pingDatabase(db: Kysely<Tables>): Promise<void> {
  await sql`select 1`.execute(db);
}
