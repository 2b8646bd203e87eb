import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const STATEMENTS = [
  // Neither column rewrites the table. Events from before 0010 have era 0 and no transaction id.
  sql`alter table events add column era smallint not null default 0, add column xid xid8`,
  // Checked by 0009 without a lock. It lets 0010 attach the table as a partition without reading it.
  sql`alter table events add constraint events_era check (era = 0 and xid is null) not valid`,
  // Topics with many new events, in which the sweep removes those beyond EVENT_RETENTION_COUNT. No key: appends never wait.
  sql`create table log_trims (id bigint generated always as identity primary key, topic text not null)`,
  sql`create table sweeps (name text primary key, due_at timestamptz(3) not null)`,
  // 1 for nodes that detect removed events in the log itself; older ones need "topics"."trimmed".
  sql`alter table nodes add column log_version smallint not null default 0`,
];

/** Prepares the partitioning of the log (0010), and adds what its retention needs. */
export const logLayout: Migration = {
  async up(db: Kysely<unknown>) {
    for (const statement of STATEMENTS) await statement.execute(db);
  },
};
