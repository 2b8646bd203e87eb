import { sql } from 'kysely';
import type { Kysely, Transaction } from 'kysely';
import { isOutage } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Tables } from './tables.ts';

type Db = Kysely<Tables>;
type Tx = Transaction<Tables>;

// The epoch identifies the log in cursors. When the database is restored from a backup, positions are assigned again, so
// cursors from before must be invalid: the epoch is renewed. The origin of the database (its server, timeline and tables,
// or its file) is stored beside the epoch, and is another one after most restores.

const EPOCH = 'epoch';
const ORIGIN = 'epoch_origin';

/** Returns the epoch. */
export async function readEpoch(db: Db): Promise<string> {
  const row = await db
    .selectFrom('settings')
    .select('value')
    .where('name', '=', EPOCH)
    .executeTakeFirstOrThrow();
  return row.value;
}

/** Renews the epoch, so that all cursors become invalid. Returns it. */
export async function renewEpoch(db: Db): Promise<string> {
  return db.transaction().execute(async (tx) => replaceEpoch(tx, await lockEpoch(tx)));
}

/** Renews the epoch if the origin is not the one for which it was created. Returns the present epoch. */
export async function renewEpochOfRestore(db: Db, origin: string | undefined): Promise<string> {
  return db.transaction().execute(async (tx) => {
    const epoch = await lockEpoch(tx);
    if (origin === undefined) return epoch;
    const stored = await tx
      .selectFrom('settings')
      .select('value')
      .where('name', '=', ORIGIN)
      .executeTakeFirst();
    if (stored?.value === origin) return epoch;
    await tx
      .insertInto('settings')
      .values({ name: ORIGIN, value: origin })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ value: origin }))
      .execute();
    // A database of a version that stored no origin.
    return stored === undefined ? epoch : replaceEpoch(tx, epoch);
  });
}

/** Renews the epoch unless another node has done so. Returns the present epoch. */
export async function renewEpochOnce(db: Db, former: string): Promise<string> {
  return db.transaction().execute(async (tx) => {
    const epoch = await lockEpoch(tx);
    return epoch === former ? replaceEpoch(tx, epoch) : epoch;
  });
}

async function lockEpoch(tx: Tx): Promise<string> {
  const row = await tx
    .selectFrom('settings')
    .select('value')
    .where('name', '=', EPOCH)
    .forUpdate()
    .executeTakeFirstOrThrow();
  return row.value;
}

async function replaceEpoch(tx: Tx, former: string): Promise<string> {
  const value = crypto.randomUUID().slice(0, former.length);
  await tx.updateTable('settings').set({ value }).where('name', '=', EPOCH).execute();
  return value;
}

/**
 * Returns the origin of a PostgreSQL database: its cluster, its timeline (another one after a promotion, or a recovery to a
 * point in time), and the ids of the database and of a table, which a dump does not keep. Undefined, with a warning in
 * `log`, if the server does not tell.
 */
export async function readServerOrigin(db: Db, log?: Logger): Promise<string | undefined> {
  try {
    const { rows } = await sql<{ origin: string }>`
      select concat_ws('/',
        (select system_identifier from pg_control_system()),
        left(pg_walfile_name(pg_current_wal_lsn()), 8),
        (select oid from pg_database where datname = current_database()),
        'settings'::regclass::oid
      ) as origin
    `.execute(db);
    return rows[0]?.origin;
  } catch (error) {
    if (isOutage(error)) throw error;
    // Hosted databases may refuse these functions, or not have them.
    log?.warn({ err: error }, 'the database does not tell its identity: run renew-epoch after a restore');
    return undefined;
  }
}
