import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Adds the bytes that accounts uploaded per day, the files that may be left behind by a crash, and an index of pending messages. */
export const uploads: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`create table upload_usage (
      account text not null,
      day date not null,
      bytes bigint not null,
      primary key (account, day)
    )`.execute(db);
    await sql`create table unfinished_uploads (
      storage_name text primary key,
      started_at timestamptz(3) not null default clock_timestamp()
    )`.execute(db);
    await sql`create index messages_pending on messages (sent_at) where status = 'PENDING'`.execute(db);
  },
};
