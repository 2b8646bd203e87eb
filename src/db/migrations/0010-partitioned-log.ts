import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

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
  // Positions are unique by the lock of the topic; the key is only checked within each partition.
  sql`alter table events_default add primary key (topic, seq)`,
  sql`create index events_default_xid on events_default (xid)`,
  sql`alter table events_default alter column xid set (n_distinct = -1)`,
  sql`create index events_default_at on events_default (at)`,
  sql`create index events_default_message on events_default (message_id) where message_id is not null`,
  sql`create index events_default_subjects on events_default using gin (subjects) where subjects is not null`,
  sql`create index events_default_unlabelled on events_default (topic, seq)
    where message_id is null and subjects is null`,
  // Their rows are deleted one by one.
  sql`alter table events_legacy set (autovacuum_vacuum_scale_factor = 0.02)`,
  sql`alter table events_default set (autovacuum_vacuum_scale_factor = 0.02)`,
];

/**
 * Partitions the log by time: the existing table becomes the partition of era 0, and later events go to partitions of
 * era 1, which `db/log-partitions.ts` creates. Reads no rows, so the lock is short.
 */
export const partitionedLog: Migration = {
  async up(db: Kysely<unknown>) {
    for (const statement of PARTITION_STATEMENTS) await statement.execute(db);
    const { rows } = await sql`select from events_legacy limit 1`.execute(db);
    if (rows.length === 0) await sql`drop table events_legacy`.execute(db);
  },
};
