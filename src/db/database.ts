import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { createPgConfig } from '@electric-sql/pglite/node-postgres';
import type { Kysely, Transaction } from 'kysely';
import pg from 'pg';
import { LongTaskWatch } from '../lib/long-task-watch.ts';
import { makePrivate } from '../lib/private-files.ts';
import type { Logger } from '../log.ts';
import type { Tracing } from '../tracing.ts';
import { cancelHarmfulWaits } from './foreign-locks.ts';
import { endFrozenSessions } from './frozen-sessions.ts';
import { readServerOrigin, renewEpochOfRestore } from './epoch.ts';
import type { DatabaseShares, PoolUse } from './fair-pool.ts';
import { migrate } from './migrate.ts';
import { lockFolder, patchPglite } from './pglite.ts';
import {
  createQueryBuilder,
  inspectServer,
  openConnection,
  openControl,
  openPool,
  pingDatabase,
} from './postgres.ts';
import type { Server } from './postgres.ts';
import { SESSION_LIMITS } from './session-limits.ts';
import type { SessionLimits } from './session-limits.ts';
import type { Tables } from './tables.ts';
import { types } from './value-parsers.ts';

export type Db = Kysely<Tables>;
export type Tx = Transaction<Tables>;

/** An open database with a current schema. */
export interface Database extends AsyncDisposable {
  readonly kind: 'pglite' | 'postgres';
  /** For the statements of requests. */
  readonly db: Db;
  readonly shares: DatabaseShares;
  /** Connections that do not wait for those of `db`, for the heartbeat; the embedded database has a single one. */
  readonly control: Db;
  /** Number of connections of `db`. */
  readonly poolSize: number;
  readonly poolUse: PoolUse;
  /** Runs a trivial query, on a connection that does not wait for those of `db`. Throws when the database is unavailable. */
  ping(): Promise<void>;
  /** Id of this database when it was opened. It is part of every cursor, so that one of another database is recognised. */
  readonly epoch: string;
  /** URL for further connections. Undefined for the embedded database, which serves one process. */
  readonly url: string | undefined;
  /** Whether the connections of `listenUrl` have a session of their own, as LISTEN needs. */
  readonly canListen: boolean;
}

export type DatabaseOptions =
  | {
      readonly kind: 'postgres';
      readonly url: string;
      /** URL that reaches the same database without a pooler. Default: `url`. */
      readonly listenUrl?: string | undefined;
      readonly poolSize?: number | undefined;
      /** Overrides limits of sessions. */
      readonly limits?: Partial<SessionLimits>;
      /** Closes a connection after this time without traffic while a query is in flight. */
      readonly inactivityTimeoutMs?: number;
    }
  | { readonly kind: 'pglite'; readonly dir: string | undefined };

const DEFAULT_POOL_SIZE = 10;
/** More than the longest statement takes. */
const INACTIVITY_TIMEOUT_MS = 30_000;
/**
 * A statement or transaction of this length may wait for a node that is frozen. Also the shortest interval of the checks
 * for such nodes.
 */
const LONG_USE_MS = 300;

/**
 * Opens the database and migrates its schema. Without `dir` the embedded database is in memory. Throws when another
 * process has the folder open, or when the server is unreachable.
 */
export async function openDatabase(
  options: DatabaseOptions,
  log: Logger,
  tracing?: Tracing,
): Promise<Database> {
  return options.kind === 'postgres'
    ? openPostgres(options, log, tracing)
    : openEmbedded(options.dir, log, tracing);
}

async function openPostgres(
  options: Extract<DatabaseOptions, { kind: 'postgres' }>,
  log: Logger,
  tracing: Tracing | undefined,
): Promise<Database> {
  const { url, listenUrl = url, poolSize = DEFAULT_POOL_SIZE } = options;
  const inspect = (url: string) =>
    inspectServer({
      url,
      inactivityTimeoutMs: options.inactivityTimeoutMs ?? INACTIVITY_TIMEOUT_MS,
      limits: { ...SESSION_LIMITS, ...options.limits },
      log,
    });
  const server = await inspect(url);
  const isDirect = listenUrl === url;
  await using stack = new AsyncDisposableStack();
  const open = (db: Db): Db => {
    stack.defer(() => db.destroy());
    return db;
  };
  const listenServer = isDirect ? server : await inspect(listenUrl);
  const control = open(openControl(listenServer));
  // Readiness is about the connections of requests, which a pooler may refuse.
  const readiness = isDirect ? control : open(openControl(server));
  const watch = new LongTaskWatch({
    longMs: LONG_USE_MS,
    async onLong() {
      const count = await endFrozenSessions(control);
      if (count > 0) log.warn({ count }, 'ended database sessions of a frozen node');
      const cancelled = await cancelHarmfulWaits(control, Math.max(1, Math.floor(poolSize / 2)));
      if (cancelled > 0) log.warn({ count: cancelled }, 'cancelled waits for locks of another program');
    },
  });
  const { db, shares, use } = openPool(server, { size: poolSize, watch, tracing });
  open(db);
  await migrateServer(server, log);
  const epoch = await renewEpochOfRestore(db, await readServerOrigin(db, log));
  const owned = stack.move();
  return {
    kind: 'postgres',
    db,
    shares,
    control,
    poolSize,
    poolUse: use,
    ping: shareConcurrent(() => pingDatabase(readiness)),
    url,
    canListen: !listenServer.traits.isPooled,
    epoch,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Returns a function that joins the call in flight, so that many callers need one connection. */
function shareConcurrent(work: () => Promise<void>): () => Promise<void> {
  let current: Promise<void> | undefined;
  return () => (current ??= work().finally(() => (current = undefined)));
}

async function openEmbedded(
  dir: string | undefined,
  log: Logger,
  tracing: Tracing | undefined,
): Promise<Database> {
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
    const { db, shares, use } = createQueryBuilder(pool, { concurrency: 1, tracing });
    await migrate(db, { log });
    const close = async () => {
      await db.destroy();
      await pglite.close();
      lock?.close();
    };
    return {
      kind: 'pglite',
      db,
      shares,
      control: db,
      poolSize: 1,
      poolUse: use,
      ping: () => pingDatabase(db),
      url: undefined,
      canListen: true,
      epoch: await renewEpochOfRestore(db, dir === undefined ? undefined : await readFolderOrigin(dir)),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    lock?.close();
    throw error;
  }
}

/** Migrates over a connection of its own, whose statements may take long. */
async function migrateServer(server: Server, log: Logger): Promise<void> {
  const db = openConnection(server);
  try {
    await migrate(db, { log });
  } finally {
    await db.destroy();
  }
}

/** Returns the origin of an embedded database: a copy of its folder has other files. */
async function readFolderOrigin(dir: string): Promise<string> {
  // Written once, when the database is created.
  const { ino, birthtimeNs } = await stat(join(dir, 'db', 'PG_VERSION'), { bigint: true });
  return birthtimeNs > 0n ? `born ${birthtimeNs}` : `file ${ino}`;
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
