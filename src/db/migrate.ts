import { sql } from 'kysely';
import type { Kysely, Transaction } from 'kysely';
import type { Migration as KyselyMigration } from 'kysely/migration';
import { setTimeout as pause } from 'node:timers/promises';
import { isLockTimeout } from '../errors.ts';
import { StartError } from '../lib/startup-error.ts';
import type { Logger } from '../log.ts';
import { initial } from './migrations/0001-initial.ts';
import { channelUses } from './migrations/0002-channel-uses.ts';
import { emailKeys } from './migrations/0003-email-keys.ts';
import { sessions } from './migrations/0004-sessions.ts';
import { eventSubjects } from './migrations/0005-event-subjects.ts';
import { heldInvitations } from './migrations/0006-held-invitations.ts';
import { uploads } from './migrations/0007-uploads.ts';
import { logLayout } from './migrations/0008-log-layout.ts';
import { validatedLog } from './migrations/0009-validated-log.ts';
import { partitionedLog } from './migrations/0010-partitioned-log.ts';
import { operators } from './migrations/0011-operators.ts';
import { nodeNames } from './migrations/0012-node-names.ts';
import { lockedNodes } from './migrations/0013-locked-nodes.ts';
import { auditNodeNames } from './migrations/0014-audit-node-names.ts';
import { calls } from './migrations/0015-calls.ts';
import { readState } from './migrations/0016-read-state.ts';
import { resumableUploads } from './migrations/0017-resumable-uploads.ts';
import { mediaDetails } from './migrations/0018-media-details.ts';
import { readReceipts } from './migrations/0019-read-receipts.ts';
import { finishedUploads } from './migrations/0020-finished-uploads.ts';
import type { Tables } from './tables.ts';

export interface Migration extends KyselyMigration {
  /** For a migration that removes something: the newest migration that a release must know to run beside it. */
  readonly requires?: string;
}

/** Name of the setting with the migration that a release must know. */
const REQUIRED_MIGRATION = 'required migration';

/** The migrations of this release. */
export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001-initial': initial,
  '0002-channel-uses': channelUses,
  '0003-email-keys': emailKeys,
  '0004-sessions': sessions,
  '0005-event-subjects': eventSubjects,
  '0006-held-invitations': heldInvitations,
  '0007-uploads': uploads,
  '0008-log-layout': logLayout,
  '0009-validated-log': validatedLog,
  '0010-partitioned-log': partitionedLog,
  '0011-operators': operators,
  '0012-node-names': nodeNames,
  '0013-locked-nodes': lockedNodes,
  '0014-audit-node-names': auditNodeNames,
  '0015-calls': calls,
  '0016-read-state': readState,
  '0017-resumable-uploads': resumableUploads,
  '0018-media-details': mediaDetails,
  '0019-read-receipts': readReceipts,
  '0020-finished-uploads': finishedUploads,
};

/** The lock that Kysely's migrator takes, with which earlier releases migrated. */
const LOCK_ID = sql`3853314791062309107`;
/** While a statement waits for the lock of a table, all later statements on this table wait for it. */
const LOCK_WAIT_MS = 500;
const RETRY_MS = 1_000;
const MAX_WAIT_MS = 60_000;
/** Longest wait for another process that migrates: it may build an index. */
const MAX_WAIT_FOR_OTHERS_MS = 600_000;

export interface MigrateOptions {
  readonly log: Logger;
  /** Default: those of this release. */
  readonly migrations?: Readonly<Record<string, Migration>>;
  /** Longest time for which one migration is retried because a lock is not free. */
  readonly maxWaitMs?: number;
}

/**
 * Runs pending migrations, each in a transaction, one process at a time. A migration waits only briefly for a lock, and is
 * then retried. The database may have migrations of a newer release. Throws `StartError` when a lock is not free in time,
 * and when the database needs a newer release.
 */
export async function migrate(
  db: Kysely<Tables>,
  { log, migrations = MIGRATIONS, maxWaitMs = MAX_WAIT_MS }: MigrateOptions,
): Promise<void> {
  let executed = await readExecuted(db);
  await checkCompatibility(db, executed, migrations, log);
  const isNew = executed.size === 0;
  for (const [name, migration] of Object.entries(migrations).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const startedAt = performance.now();
    while (!executed.has(name)) {
      const outcome = await runMigration(db, name, migration);
      if (outcome === 'migrated') {
        if (!isNew) log.info({ migration: name }, 'database migrated');
        break;
      }
      const waitedMs = performance.now() - startedAt;
      if (outcome === 'locked' && waitedMs > maxWaitMs)
        throw new StartError(`Migration ${name} waits for a lock: ${await describeOldestTransaction(db)}.`);
      if (waitedMs > MAX_WAIT_FOR_OTHERS_MS)
        throw new StartError(`Migration ${name} waits for another process that migrates the database.`);
      log.warn({ migration: name }, `migration waits: ${outcome}`);
      await pause(Math.min(RETRY_MS, maxWaitMs) * (0.5 + Math.random()));
      executed = await readExecuted(db);
    }
  }
}

/** Returns the names of the executed migrations; none for a new database. */
async function readExecuted(db: Kysely<Tables>): Promise<ReadonlySet<string>> {
  const { rows: tables } = await sql<{ exists: boolean }>`
    select to_regclass('kysely_migration') is not null as exists
  `.execute(db);
  if (tables[0]?.exists !== true) return new Set();
  const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(db);
  return new Set(rows.map(({ name }) => name));
}

async function checkCompatibility(
  db: Kysely<Tables>,
  executed: ReadonlySet<string>,
  migrations: Readonly<Record<string, Migration>>,
  log: Logger,
): Promise<void> {
  const unknown = [...executed].filter((name) => !(name in migrations));
  if (unknown.length === 0) return;
  const required = await db
    .selectFrom('settings')
    .select('value')
    .where('name', '=', REQUIRED_MIGRATION)
    .executeTakeFirst();
  if (required !== undefined && !(required.value in migrations))
    throw new StartError(
      `The database was migrated by a newer release, beside which this one cannot run: it lacks migration ${required.value}.`,
    );
  const pending = Object.keys(migrations).filter((name) => !executed.has(name));
  if (pending.length > 0)
    throw new StartError(
      `The database has migrations that this release does not know (${unknown.join(', ')}), and lacks ${pending.join(', ')}.`,
    );
  log.warn({ migrations: unknown }, 'the database is of a newer release');
}

/** Runs a migration in a transaction, unless a lock is not free or another process has run it. */
async function runMigration(
  db: Kysely<Tables>,
  name: string,
  migration: Migration,
): Promise<'migrated' | 'locked' | 'another process migrates'> {
  try {
    return await db.transaction().execute(async (tx) => {
      const { rows } = await sql<{ locked: boolean }>`
        select pg_try_advisory_xact_lock(${LOCK_ID}) as locked,
          set_config('lock_timeout', ${`${LOCK_WAIT_MS}`}, true), set_config('statement_timeout', '0', true)
      `.execute(tx);
      if (rows[0]?.locked !== true) return 'another process migrates';
      await sql`
        create table if not exists kysely_migration (name varchar(255) primary key, timestamp varchar(255) not null)
      `.execute(tx);
      if ((await readExecuted(tx)).has(name)) return 'another process migrates';
      await migration.up(tx);
      await recordMigration(tx, name, migration);
      return 'migrated';
    });
  } catch (error) {
    if (isLockTimeout(error)) return 'locked';
    throw error;
  }
}

async function recordMigration(
  tx: Transaction<Tables>,
  name: string,
  { requires }: Migration,
): Promise<void> {
  await sql`
    insert into kysely_migration (name, timestamp)
    values (${name}, to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
  `.execute(tx);
  if (requires !== undefined)
    await tx
      .insertInto('settings')
      .values({ name: REQUIRED_MIGRATION, value: requires })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ value: requires }))
      .execute();
}

/** Describes the transaction that most likely holds the lock. */
async function describeOldestTransaction(db: Kysely<Tables>): Promise<string> {
  const { rows } = await sql<{ pid: number; name: string; seconds: number }>`
    select pid, coalesce(nullif(application_name, ''), 'no name') as name,
      extract(epoch from clock_timestamp() - xact_start)::int as seconds
    from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
    order by xact_start limit 1
  `.execute(db);
  const [oldest] = rows;
  return oldest === undefined
    ? 'another transaction used its tables'
    : `process ${oldest.pid} of the database (${oldest.name}) has had a transaction open for ${oldest.seconds} s`;
}
