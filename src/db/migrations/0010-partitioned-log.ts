import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** The first partitions: as many, and as wide, as those of the default retention of 7 days. */
const FIRST_PARTITIONS = 4;
/** In seconds. */
const FIRST_WIDTH = sql.lit(42 * 3_600);

/** The key and the indexes of a partition, as `db/log-partitions.ts` creates them for later ones. */
const indexesOf = (name: string) => {
  const table = sql.ref(name);
  const index = (column: string) => sql.ref(`${name}_${column}`);
  return [
    // Positions are unique by the lock of the topic; the key is only checked within each partition.
    sql`alter table ${table} add primary key (topic, seq)`,
    sql`create index ${index('xid')} on ${table} (xid)`,
    sql`alter table ${table} alter column xid set (n_distinct = -1)`,
    sql`create index ${index('message')} on ${table} (message_id) where message_id is not null`,
    sql`create index ${index('subjects')} on ${table} using gin (subjects) where subjects is not null`,
    sql`create index ${index('unlabelled')} on ${table} (topic, seq)
      where message_id is null and subjects is null`,
  ];
};

const PARTITION_STATEMENTS = [
  sql`alter table events rename to events_legacy`,
  // For the names only: those of the partitions start with the name of their table.
  sql`alter index events_pkey rename to events_legacy_pkey`,
  sql`alter index events_at rename to events_legacy_at`,
  sql`alter index events_message rename to events_legacy_message`,
  sql`alter index events_subjects rename to events_legacy_subjects`,
  sql`alter index events_unlabelled rename to events_legacy_unlabelled`,
  // Nodes of an older version insert without the last two columns.
  sql`create table events (
    topic text collate "C" not null,
    seq bigint not null,
    event json not null,
    at timestamptz(3) not null,
    message_id int,
    subjects text[],
    era smallint not null default 1,
    xid xid8 default pg_current_xact_id()
  ) partition by range (era, at)`,
  sql`alter table events attach partition events_legacy
    for values from (minvalue, minvalue) to (1, minvalue)`,
  sql`create table events_default partition of events default`,
  ...indexesOf('events_default'),
  sql`create index events_default_at on events_default (at)`,
  // Their rows are deleted one by one.
  sql`alter table events_legacy set (autovacuum_vacuum_scale_factor = 0.02)`,
  sql`alter table events_default set (autovacuum_vacuum_scale_factor = 0.02)`,
];

/**
 * Creates partitions for the time from now on. Nodes of an older version create none: until a newer one starts, their events
 * would fill the default partition, which is read whenever a partition is attached.
 */
async function createFirstPartitions(db: Kysely<unknown>): Promise<void> {
  const { rows } = await sql<{ name: string; from: string; to: string }>`
    select to_char(start at time zone 'utc', '"events_"YYYYMMDDHH24') as name, start::text as "from",
      (start + ${FIRST_WIDTH} * interval '1 second')::text as "to"
    from generate_series(0, ${sql.lit(FIRST_PARTITIONS - 1)}) as number, to_timestamp((
      (floor(extract(epoch from clock_timestamp()) / ${FIRST_WIDTH}) + number) * ${FIRST_WIDTH}
    )::float8) as start
  `.execute(db);
  for (const { name, from, to } of rows) {
    const statements = [
      sql`create table ${sql.ref(name)} partition of events
        for values from (1, ${sql.lit(from)}) to (1, ${sql.lit(to)})`,
      ...indexesOf(name),
    ];
    for (const statement of statements) await statement.execute(db);
  }
}

/**
 * Partitions the log by time: the existing table becomes the partition of era 0, and later events go to partitions of
 * era 1: the first ones, and those that `db/log-partitions.ts` creates later. Reads no rows, so the lock is short.
 */
export const partitionedLog: Migration = {
  async up(db: Kysely<unknown>) {
    for (const statement of PARTITION_STATEMENTS) await statement.execute(db);
    const { rows } = await sql`select from events_legacy limit 1`.execute(db);
    if (rows.length === 0) await sql`drop table events_legacy`.execute(db);
    // Without events, there is hardly a node that writes.
    else await createFirstPartitions(db);
  },
};
