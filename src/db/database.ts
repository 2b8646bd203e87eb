import { access, constants, mkdir } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as setImmediatePromise } from 'node:timers/promises';
import { PGlite } from '@electric-sql/pglite';
import { createPgConfig } from '@electric-sql/pglite/node-postgres';
import { CamelCasePlugin, Kysely, PostgresDialect, sql } from 'kysely';
import type { Transaction } from 'kysely';
import pg from 'pg';
import type { BackendMessage } from 'pg-protocol/dist/messages.js';
import { Parser } from 'pg-protocol/dist/parser.js';
import type { Logger } from '../log.ts';
import { StartError } from '../lib/startup-error.ts';
import { migrate } from './migrate.ts';
import { withPreparedStatements } from './prepared-statements.ts';
import type { Tables } from './tables.ts';

export type Db = Kysely<Tables>;
export type Tx = Transaction<Tables>;

/** An open, migrated database, and what names it. */
export interface Database extends AsyncDisposable {
  readonly kind: 'pglite' | 'postgres';
  readonly db: Db;
  /** Names this database for ever: part of every cursor, so that a cursor of another one is recognised. */
  readonly epoch: string;
  /** The URL to open further connections with; undefined when the database is embedded, for one process. */
  readonly url: string | undefined;
}

export type DatabaseOptions =
  | {
      readonly kind: 'postgres';
      readonly url: string;
      /** How long an answer may take before the connection counts as lost. */
      readonly silenceMs?: number;
    }
  | { readonly kind: 'pglite'; readonly dir: string | undefined };

const MAX_BUSY_MS = 5;
const MAX_CONNECTIONS = 10;
/** For a connection, new or free: whoever waits for longer is told that the database is away. */
const CONNECT_TIMEOUT_MS = 10_000;
const SILENCE_MS = 30_000;

const { builtins } = pg.types;

/** In UTC, as most servers are set to; the fraction has no zeros at its end. */
const PLAIN_TIMESTAMP = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,3})?\+00$/;
const DATE_AND_TIME = '2026-11-26 04:47:06'.length;

/**
 * A moment as ISO 8601 says it, to the millisecond. A plain one is rewritten and not calculated: on a screen with many
 * messages that is a tenth of all the work.
 */
function isoTimestamp(text: string): string {
  if (!PLAIN_TIMESTAMP.test(text)) return new Date(text).toISOString();
  const fraction = text.slice(DATE_AND_TIME, -'+00'.length) || '.';
  return `${text.slice(0, 10)}T${text.slice(11, DATE_AND_TIME)}${fraction.padEnd(4, '0')}Z`;
}

/** Rows are JSON-safe: moments and dates stay text, 64-bit counts are numbers (they stay far below 2^53 here). */
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
 * Opens the database and brings its schema up to date. The embedded one lives in `dir`, or in memory without it.
 * Throws when another process has the folder open, or when the server cannot be reached.
 */
export async function openDatabase(options: DatabaseOptions, log: Logger): Promise<Database> {
  return options.kind === 'postgres'
    ? openPostgres(options.url, log, options.silenceMs)
    : openEmbedded(options.dir, log);
}

async function openPostgres(url: string, log: Logger, silenceMs = SILENCE_MS): Promise<Database> {
  const pool = new pg.Pool({
    connectionString: url,
    max: MAX_CONNECTIONS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    stream: () => openSocket(silenceMs),
    types,
    application_name: 'parley',
  });
  pool.on('error', (error) => log.warn({ err: error }, 'idle database connection lost'));
  // The pool listens to idle connections only: the loss of one in use is told to its query, and must not end the
  // process.
  pool.on('connect', (client) =>
    client.on('error', (error) => log.debug({ err: error }, 'database connection lost')),
  );
  const db = connect(pool);
  try {
    return { kind: 'postgres', db, url, epoch: await prepare(db), [Symbol.asyncDispose]: () => db.destroy() };
  } catch (error) {
    await db.destroy();
    throw error;
  }
}

/**
 * A network that was cut says nothing: a socket on which nothing passes is given up, and with it what waits for an
 * answer.
 */
function openSocket(silenceMs: number): Socket {
  const socket = new Socket();
  return socket.setTimeout(silenceMs, () => {
    const error = new Error(`The database did not answer within ${silenceMs} ms.`);
    socket.destroy(Object.assign(error, { code: 'ETIMEDOUT' }));
  });
}

async function openEmbedded(dir: string | undefined, log: Logger): Promise<Database> {
  const lock = dir === undefined ? undefined : await lockFolder(dir);
  try {
    const pglite = await PGlite.create({
      ...(dir === undefined ? {} : { dataDir: join(dir, 'db') }),
      // Nothing analyzes its tables, which is when a kept plan is made anew: one of when they were empty would stay.
      postgresqlconf: ['shared_buffers = 16MB', 'plan_cache_mode = force_custom_plan'],
    });
    const pool = new pg.Pool({ ...createPgConfig(patchPglite(pglite)), max: 1, types });
    pool.on('error', (error) => log.warn({ err: error }, 'embedded database connection lost'));
    const db = connect(pool);
    const close = async () => {
      await db.destroy();
      await pglite.close();
      lock?.close();
    };
    return { kind: 'pglite', db, url: undefined, epoch: await prepare(db), [Symbol.asyncDispose]: close };
  } catch (error) {
    lock?.close();
    throw error;
  }
}

/**
 * The embedded database, mended in four ways. It answers without ever going back to the event loop: under load, timers
 * and sockets would wait for as long as there is something to ask, so whoever asks for long lets them have a turn. Its
 * own reader of answers takes U+FEFF off the beginning of a text, so they are read as those of a server are; and it
 * keeps what it has read in `execProtocolRaw` for ever, so the answer is taken before that reader. Nor is it told to
 * copy its files after every packet: it writes to the folder, or to memory, itself, and the queue of copies that copy
 * nothing would be a third of all garbage.
 */
function patchPglite(pglite: PGlite): PGlite {
  let busySince: number | undefined;
  const parser = new Parser();
  const execProtocolStream: PGlite['execProtocolStream'] = async (message, options) => {
    if (busySince === undefined) {
      busySince = performance.now();
      setImmediate(() => (busySince = undefined));
    } else if (performance.now() - busySince > MAX_BUSY_MS) {
      await setImmediatePromise();
    }
    const messages: BackendMessage[] = [];
    await pglite.execProtocolRawStream(message, {
      ...options,
      syncToFs: false,
      // A view of the database's memory, in which the next packet is put: the parser gets a copy.
      onRawData: (packet) => parser.parse(Buffer.from(packet), (one) => messages.push(one)),
    });
    return messages;
  };
  return Object.create(pglite, { execProtocolStream: { value: execProtocolStream } }) as PGlite;
}

function connect(pool: pg.Pool): Db {
  return new Kysely<Tables>({
    dialect: new PostgresDialect({ pool: withPreparedStatements(pool) }),
    plugins: [new CamelCasePlugin({ maintainNestedObjectKeys: true })],
  });
}

async function prepare(db: Db): Promise<string> {
  await migrate(db);
  const epoch = await db
    .selectFrom('settings')
    .select('value')
    .where('name', '=', 'epoch')
    .executeTakeFirstOrThrow();
  return epoch.value;
}

/**
 * The embedded database itself does not notice a second process and would lose rows: SQLite's file lock does, and ends
 * with the process.
 */
async function lockFolder(dir: string): Promise<DatabaseSync> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await access(dir, constants.R_OK | constants.W_OK);
  const lock = new DatabaseSync(join(dir, 'lock'));
  try {
    lock.exec('pragma busy_timeout = 0; begin exclusive');
    return lock;
  } catch {
    lock.close();
    throw new StartError(
      `Another process has the data folder ${resolve(dir)} open. Stop it first, choose another DATA_DIR, or set DATABASE_URL to share one database between processes.`,
    );
  }
}

/** Resolves when the database answers; throws when it does not. */
export async function pingDatabase(db: Db): Promise<void> {
  await sql`select 1`.execute(db);
}

/** Reads that all see the database as of the first of them. Whoever opened it closes it. */
export interface Snapshot {
  readonly db: Db;
  close(): Promise<void>;
}

export function openSnapshot(db: Db): Promise<Snapshot> {
  const finished = Promise.withResolvers<void>();
  return new Promise((resolve, reject) => {
    const reading = db
      .transaction()
      .setIsolationLevel('repeatable read')
      .setAccessMode('read only')
      .execute((tx) => {
        const close = async (): Promise<void> => {
          finished.resolve();
          // What was read was read, however its transaction ends.
          await reading.catch(() => undefined);
        };
        resolve({ db: tx, close });
        return finished.promise;
      });
    reading.catch(reject);
  });
}
