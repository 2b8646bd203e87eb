import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/**
 * Adds what is known of the content of uploaded images, audio and video. A row is a request to inspect the file, then the
 * result. It belongs to the stored file, not to `media`, so that no statement waits for a row that is locked.
 */
export const mediaDetails: Migration = {
  async up(db: Kysely<unknown>) {
    for (const statement of STATEMENTS) await statement.execute(db);
  },
};

const STATEMENTS = [
  sql`create table media_details (
    storage_name text primary key,
    media_id int not null,
    account text collate "C" not null,
    attempts int not null default 0,
    claimed_until timestamptz(3),
    inspected_at timestamptz(3),
    width int,
    height int,
    duration float8,
    preview bytea
  )`,
  sql`create index media_details_pending on media_details (account, attempts, media_id) where inspected_at is null`,
  // Triggers, because nodes of an older version store and remove files too.
  sql`create function request_inspection() returns trigger language plpgsql as $$
    begin
      insert into media_details (storage_name, media_id, account)
      select new.storage_name, new.id, coalesce('user:' || author_user_id, 'device:' || author_device_id, 'none')
      from messages where id = new.message_id;
      return null;
    end
  $$`,
  sql`create trigger media_stored after update of storage_name on media
    for each row when (
      old.storage_name is distinct from new.storage_name and new.storage_name is not null
      and new.content_type ~ '^(image|audio|video)/'
    )
    execute function request_inspection()`,
  // Details of removed files whose row was locked.
  sql`create table unused_details (storage_name text primary key)`,
  sql`create function remove_details() returns trigger language plpgsql as $$
    begin
      delete from media_details where storage_name in (
        select storage_name from media_details where storage_name = old.storage_name for update skip locked
      );
      insert into unused_details
      select storage_name from media_details where storage_name = old.storage_name
      on conflict do nothing;
      return null;
    end
  $$`,
  sql`create trigger file_removed after delete on unused_files for each row execute function remove_details()`,
];
