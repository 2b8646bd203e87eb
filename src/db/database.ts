import { Socket } from 'node:net';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { createPgConfig } from '@electric-sql/pglite/node-postgres';
import { CamelCasePlugin, Kysely, PostgresDialect, sql } from 'kysely';
import type { Transaction } from 'kysely';
import pg from 'pg';
import { makePrivate } from '../lib/private-files.ts';
import type { Logger } from '../log.ts';
import { readServerOrigin, renewEpochOfRestore } from './epoch.ts';
import { createFairPool } from './fair-pool.ts';
import type { DatabaseShares } from './fair-pool.ts';
import { migrate } from './migrate.ts';
import { lockFolder, patchPglite } from './pglite.ts';
import { withPreparedStatements } from './prepared-statements.ts';
import type { Tables } from './tables.ts';

export type Db = Kysely<Tables>;
export type Tx = Transaction<Tables>;

/** An open database with a current schema. */
export interface Database extends AsyncDisposable {
  readonly kind: 'pglite' | 'postgres';
  readonly db: Db;
  readonly shares: DatabaseShares;
  /** Id of this database when it was opened. It is part of every cursor, so that one of another database is recognised. */
  readonly epoch: string;
  /** URL for further connections. Undefined for the embedded database, which serves one process. */
  readonly url: string | undefined;
}

export type DatabaseOptions =
  | {
      readonly kind: 'postgres';
      readonly url: string;
      /** Closes a connection after this time without traffic while a query is in flight. */
      readonly inactivityTimeoutMs?: number;
    }
  | { readonly kind: 'pglite'; readonly dir: string | undefined };

const MAX_CONNECTIONS = 10;
/** Longest wait for a free or new connection. After it the query fails as unavailable. */
const CONNECT_TIMEOUT_MS = 10_000;
const INACTIVITY_TIMEOUT_MS = 30_000;

const { builtins } = pg.types;

/** The text form of a timestamp in UTC, the time zone of most servers. The fraction has no trailing zeros. */
const PLAIN_TIMESTAMP = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,3})?\+00$/;
const DATE_AND_TIME_LENGTH = '2026-11-26 04:47:06'.length;

/**
 * Converts a timestamp to ISO 8601 with milliseconds. The common form is rewritten without `Date`, which saves a tenth
 * of the CPU time of a page of messages.
 */
function isoTimestamp(text: string): string {
  if (!PLAIN_TIMESTAMP.test(text)) return new Date(text).toISOString();
  const fraction = text.slice(DATE_AND_TIME_LENGTH, -'+00'.length) || '.';
  return `${text.slice(0, 10)}T${text.slice(11, DATE_AND_TIME_LENGTH)}${fraction.padEnd(4, '0')}Z`;
}

/** Keeps rows JSON-safe: timestamps and dates are strings, and 64-bit integers numbers (all are far below 2^53). */
const PARSERS = new Map<number, (text: string) => unknown>([
  [builtins.INT8, Number],
  [builtins.DATE, (text) => text],
  [builtins.TIMESTAMPTZ, isoTimestamp],
]);

const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    PARSERS.get(oid) ??
    pg.types.getTypeParser(oid, format ?? 'text')) as pg.CustomTypesConfig['getTypeParser'],
};

/**
 * Opens the database and migrates its schema. Without `dir` the embedded database is in memory. Throws when another
 * process has the folder open, or when the server is unreachable.
 */
export async function openDatabase(options: DatabaseOptions, log: Logger): Promise<Database> {
  return options.kind === 'postgres'
    ? openPostgres(options.url, log, options.inactivityTimeoutMs)
    : openEmbedded(options.dir, log);
}

async function openPostgres(
  url: string,
  log: Logger,
  inactivityTimeoutMs = INACTIVITY_TIMEOUT_MS,
): Promise<Database> {
  const pool = new pg.Pool({
    connectionString: url,
    max: MAX_CONNECTIONS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    stream: () => openSocket(inactivityTimeoutMs),
    types,
    application_name: 'parley',
  });
  pool.on('error', (error) => log.warn({ err: error }, 'idle database connection lost'));
  // pg-pool listens for errors on idle clients only. Without a listener, the loss of a client in use (which fails its
  // query anyway) would be an uncaught `error` event.
  pool.on('connect', (client) =>
    client.on('error', (error) => log.debug({ err: error }, 'database connection lost')),
  );
  const { db, shares } = createKysely(pool, MAX_CONNECTIONS, CONNECT_TIMEOUT_MS);
  try {
    return {
      kind: 'postgres',
      db,
      shares,
      url,
      epoch: await migrateAndReadEpoch(db, readServerOrigin),
      [Symbol.asyncDispose]: () => db.destroy(),
    };
  } catch (error) {
    await db.destroy();
    throw error;
  }
}

/**
 * Opens a socket with an inactivity timeout that destroys it, so that queries fail when the network was cut without a
 * reset.
 */
function openSocket(inactivityTimeoutMs: number): Socket {
  const socket = new Socket();
  return socket.setTimeout(inactivityTimeoutMs, () => {
    const error = new Error(`The database did not respond within ${inactivityTimeoutMs} ms.`);
    socket.destroy(Object.assign(error, { code: 'ETIMEDOUT' }));
  });
}

async function openEmbedded(dir: string | undefined, log: Logger): Promise<Database> {
  const lock = dir === undefined ? undefined : await lockFolder(dir);
  try {
    // A volume or an earlier version may have created it readable by everybody.
    if (dir !== undefined) await makePrivate(join(dir, 'db'));
    const pglite = await PGlite.create({
      ...(dir === undefined ? {} : { dataDir: join(dir, 'db') }),
      // PGlite has no autovacuum, and without ANALYZE a cached plan from when the tables were empty would stay in use.
      postgresqlconf: ['shared_buffers = 16MB', 'plan_cache_mode = force_custom_plan'],
    });
    const pool = new pg.Pool({ ...createPgConfig(patchPglite(pglite)), max: 1, types });
    pool.on('error', (error) => log.warn({ err: error }, 'embedded database connection lost'));
    const { db, shares } = createKysely(pool, 1);
    const close = async () => {
      await db.destroy();
      await pglite.close();
      lock?.close();
    };
    return {
      kind: 'pglite',
      db,
      shares,
      url: undefined,
      epoch: await migrateAndReadEpoch(db, async () =>
        dir === undefined ? undefined : readFolderOrigin(dir),
      ),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    lock?.close();
    throw error;
  }
}

/** Creates the query builder. The pool connects with its first query. */
function createKysely(
  pool: pg.Pool,
  concurrency: number,
  timeoutMs?: number,
): { readonly db: Db; readonly shares: DatabaseShares } {
  const fairPool = createFairPool(withPreparedStatements(pool), concurrency, timeoutMs);
  const db = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool: fairPool.pool }),
    plugins: [new CamelCasePlugin({ maintainNestedObjectKeys: true })],
  });
  return { db, shares: fairPool.shares };
}

/** Runs pending migrations. Returns the epoch, which is a new one if the origin of the database has changed. */
async function migrateAndReadEpoch(
  db: Db,
  readOrigin: (db: Db) => Promise<string | undefined>,
): Promise<string> {
  await migrate(db);
  return renewEpochOfRestore(db, await readOrigin(db));
}

/** Returns the origin of an embedded database: a copy of its folder has other files. */
async function readFolderOrigin(dir: string): Promise<string> {
  // Written once, when the database is created.
  const { ino, birthtimeNs } = await stat(join(dir, 'db', 'PG_VERSION'), { bigint: true });
  return birthtimeNs > 0n ? `born ${birthtimeNs}` : `file ${ino}`;
}

/** Runs a trivial query. Throws when the database is unavailable. */
export async function pingDatabase(db: Db): Promise<void> {
  await sql`select 1`.execute(db);
}

/** A read-only transaction in which all reads see the same state. It holds a connection until it is closed. */
export interface Snapshot {
  readonly db: Db;
  close(): Promise<void>;
}

export function openSnapshot(db: Db): Promise<Snapshot> {
  const closed = Promise.withResolvers<void>();
  return new Promise((resolve, reject) => {
    const transaction = db
      .transaction()
      .setIsolationLevel('repeatable read')
      .setAccessMode('read only')
      .execute((tx) => {
        const close = async (): Promise<void> => {
          closed.resolve();
          // The reads are valid even if the commit fails.
          await transaction.catch(() => undefined);
        };
        resolve({ db: tx, close });
        // Stays pending until `close`: the transaction is open as long as this callback runs.
        return closed.promise;
      });
    transaction.catch(reject);
  });
}
