import { sql } from 'kysely';
import { isCancelled, isLockTimeout } from '../errors.ts';
import { readClock } from './clock.ts';
import type { Db, Tx } from './database.ts';
import type { Timestamp } from './tables.ts';

// The log is partitioned by time. A partition whose events have all passed the retention is dropped, however many they
// are. What belongs to no partition is stored in `events_default`, so that an insert never fails.

/**
 * Longest wait for the lock of the log, and so the longest delay of writers while another transaction holds it; and longest
 * statement, which bounds how long the lock is held.
 */
const LIMITS = sql`
  select set_config('lock_timeout', '50ms', true), set_config('statement_timeout', '2s', true)
`;
/**
 * To attach a partition, PostgreSQL reads the whole default partition while readers and writers wait: this much is read in
 * some 0.1 s. A constraint would save the reading, but reject events if its partition were not attached in time.
 */
const MAX_DEFAULT_BYTES = 64 * 2 ** 20;
const HOUR_MS = 3_600_000;
/** The retention spans this many partitions: each is kept until its newest event has passed the retention. */
const PARTITIONS_PER_RETENTION = 4;

interface Partition {
  readonly name: string;
  /** Milliseconds since 1970; null for a partition without bounds in time. */
  readonly from: number | null;
  readonly to: number | null;
}

const LEGACY = 'events_legacy';
const DEFAULT = 'events_default';

async function listPartitions(db: Db): Promise<Partition[]> {
  const { rows } = await sql<Partition>`
    select name,
      extract(epoch from substring(bounds from 'FROM \\(''?1''?, ''([^'']+)''')::timestamptz)::float8 * 1000 as "from",
      extract(epoch from substring(bounds from 'TO \\(''?1''?, ''([^'']+)''')::timestamptz)::float8 * 1000 as "to"
    from (
      select relname as name, pg_get_expr(relpartbound, pg_class.oid) as bounds
      from pg_inherits join pg_class on pg_class.oid = inhrelid
      where inhparent = 'events'::regclass
    ) as partitions
    order by "from" nulls first
  `.execute(db);
  return rows;
}

/** Why partitions are missing: the log is locked, or its default partition is too large. */
export type MissingPartitions = 'locked' | 'large default partition';

/**
 * Creates the partitions of the present and the next period, unless they exist. Never holds up others for long: where it
 * would have to, it returns why, and events go to the default partition.
 */
export async function createPartitions(
  db: Db,
  retentionDays: number,
): Promise<MissingPartitions | undefined> {
  return withLogLock(db, async (tx) => {
    const width = Math.max(1, Math.ceil((retentionDays * 24) / PARTITIONS_PER_RETENTION)) * HOUR_MS;
    const partitions = await listPartitions(tx);
    const now = await readClock(tx);
    // Those further ahead are of a time when the clock of the database was wrong.
    const near = partitions.filter(({ from }) => from !== null && from < now + width);
    const far = partitions.filter((partition) => !near.includes(partition));
    const limit = Math.min(...far.map(({ from }) => from ?? Infinity));
    for (let from = Math.max(floor(now, width), ...near.map(({ to }) => to ?? 0)); from < now + width;) {
      const to = Math.min(floor(from, width) + width, limit);
      if (await isDefaultLarge(tx)) return 'large default partition';
      if (!(await hasDefaultEvents(tx, from, to))) await createPartition(tx, from, to);
      from = to;
    }
    return undefined;
  });
}

const floor = (time: number, width: number): number => Math.floor(time / width) * width;

async function isDefaultLarge(tx: Tx): Promise<boolean> {
  const { rows } = await sql`
    select where pg_relation_size('events_default') > ${MAX_DEFAULT_BYTES}
  `.execute(tx);
  return rows.length > 0;
}

/** Whether the default partition has events of this period, which then cannot get a partition of its own. */
async function hasDefaultEvents(tx: Tx, from: number, to: number): Promise<boolean> {
  const { rows } = await sql`
    select from events_default
    where at >= to_timestamp(${from / 1000}) and at < to_timestamp(${to / 1000}) limit 1
  `.execute(tx);
  return rows.length > 0;
}

async function createPartition(tx: Tx, from: number, to: number): Promise<void> {
  const name = `events_${new Date(from).toISOString().slice(0, 'YYYY-MM-DDTHH'.length).replaceAll(/\D/g, '')}`;
  const table = sql.ref(name);
  const index = (column: string) => sql.ref(`${name}_${column}`);
  const bound = (time: number) => sql.lit(new Date(time).toISOString());
  const statements = [
    sql`create table ${table} (like events including defaults)`,
    sql`alter table ${table} add primary key (topic, seq)`,
    sql`create index ${index('xid')} on ${table} (xid)`,
    // Whatever a bulk load makes it look like: comparisons must use the index.
    sql`alter table ${table} alter column xid set (n_distinct = -1)`,
    sql`create index ${index('message')} on ${table} (message_id) where message_id is not null`,
    sql`create index ${index('subjects')} on ${table} using gin (subjects) where subjects is not null`,
    sql`create index ${index('unlabelled')} on ${table} (topic, seq)
      where message_id is null and subjects is null`,
    // Attached, not created as a partition, which would lock out readers and writers of the others.
    sql`alter table events attach partition ${table} for values from (1, ${bound(from)}) to (1, ${bound(to)})`,
  ];
  for (const statement of statements) await statement.execute(tx);
}

/**
 * Returns for how many milliseconds the oldest partition has been due to be dropped; 0 if none is due. Those without
 * bounds in time are not considered.
 */
export async function findRetentionLag(db: Db, retentionDays: number): Promise<number> {
  const now = await readClock(db);
  const ends = (await listPartitions(db)).flatMap(({ to }) => (to === null ? [] : [to]));
  return Math.max(0, now - retentionDays * 24 * HOUR_MS - Math.min(...ends));
}

/** Drops the partitions whose events are all older than `before`. Returns how many it dropped. */
export async function dropPartitions(db: Db, before: Timestamp): Promise<number> {
  let dropped = 0;
  for (const { name, to } of await listPartitions(db)) {
    const isDue = name === LEGACY ? await isLegacyDue(db, before) : to !== null && to <= Date.parse(before);
    if (!isDue) continue;
    const outcome = await withLogLock(db, async (tx) => {
      await sql`drop table if exists ${sql.ref(name)}`.execute(tx);
    });
    if (outcome !== 'locked') dropped += 1;
  }
  return dropped;
}

async function isLegacyDue(db: Db, before: Timestamp): Promise<boolean> {
  const { rows } = await sql`select from events_legacy where at >= ${before}::timestamptz limit 1`.execute(
    db,
  );
  return rows.length === 0;
}

/** Deletes up to `limit` events older than `before` that no partition of their time will remove. */
export async function deleteStrayEvents(db: Db, before: Timestamp, limit: number): Promise<number> {
  let removed = 0;
  for (const { name } of await listPartitions(db)) {
    if (name !== LEGACY && name !== DEFAULT) continue;
    const table = sql.ref(name);
    const { numAffectedRows } = await sql`
      delete from ${table} where ctid = any(array(
        select ctid from ${table} where at < ${before}::timestamptz order by at limit ${limit} for update skip locked
      ))
    `.execute(db);
    removed += Number(numAffectedRows ?? 0n);
  }
  return removed;
}

/** Runs work in a transaction under a lock against other nodes, unless it would hold up others for too long. */
async function withLogLock<Result>(db: Db, work: (tx: Tx) => Promise<Result>): Promise<Result | 'locked'> {
  try {
    return await db.transaction().execute(async (tx) => {
      await sql`select pg_advisory_xact_lock(hashtext('parley partitions'))`.execute(tx);
      await LIMITS.execute(tx);
      return work(tx);
    });
  } catch (error) {
    if (isLockTimeout(error) || isCancelled(error)) return 'locked';
    throw error;
  }
}
