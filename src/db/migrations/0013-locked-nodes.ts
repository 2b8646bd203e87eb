import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Lets connections open, and their node stay alive, while another program has locked the node's row. */
export const lockedNodes: Migration = {
  async up(db: Kysely<unknown>) {
    for (const statement of STATEMENTS) await statement.execute(db);
  },
};

const STATEMENTS = [
  sql`create table heartbeats (
    id bigint generated always as identity primary key,
    node_id text not null,
    seen_at timestamptz(3) not null default clock_timestamp()
  )`,
  sql`create index heartbeats_node on heartbeats (node_id)`,
  // A foreign key locks the row of the node for each lease.
  sql`alter table leases drop constraint leases_node_id_fkey`,
  sql`create function delete_leases_of_node() returns trigger language plpgsql as $$
    begin
      delete from leases where node_id = old.id;
      delete from heartbeats where node_id = old.id;
      return null;
    end
  $$`,
  sql`create trigger nodes_delete_leases after delete on nodes
    for each row execute function delete_leases_of_node()`,
];
