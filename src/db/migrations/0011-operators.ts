import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Adds the log of what operators do, and the accounts that they block. */
export const operators: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`create table audit_log (
      id int generated always as identity primary key,
      at timestamptz(3) not null default clock_timestamp(),
      action text not null,
      arguments json not null,
      reason text,
      address text not null,
      node_id text not null,
      outcome text
    )`.execute(db);
    await sql`create index audit_log_at on audit_log (at)`.execute(db);
    await sql`create table account_blocks (
      user_id int unique references users on delete cascade,
      device_id int unique references devices on delete cascade,
      until timestamptz(3),
      reason text not null,
      blocked_at timestamptz(3) not null default clock_timestamp(),
      check (num_nonnulls(user_id, device_id) = 1)
    )`.execute(db);
  },
};
