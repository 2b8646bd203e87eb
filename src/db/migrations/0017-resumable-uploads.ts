import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/**
 * Adds uploads that arrive in several requests, for each media the newest, and the ids of uploads in parts. The bytes of one
 * that was published, replaced or removed, by cascade too, become an unused file.
 */
export const resumableUploads: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`create table resumable_uploads (
      media_id int primary key references media on delete cascade,
      storage_name text not null unique,
      account text not null,
      metadata text not null,
      size bigint not null,
      received bigint not null default 0 check (received between 0 and size),
      writer uuid,
      is_finished boolean not null default false,
      expires_at timestamptz(3) not null
    )`.execute(db);
    await sql`create index resumable_uploads_account on resumable_uploads (account)`.execute(db);
    await sql`create index resumable_uploads_expires_at on resumable_uploads (expires_at)`.execute(db);
    await sql`create function note_unused_upload() returns trigger language plpgsql as $$
      begin
        delete from unfinished_uploads where storage_name = old.storage_name;
        insert into unused_files values (old.storage_name) on conflict do nothing;
        return null;
      end
    $$`.execute(db);
    await sql`create trigger resumable_upload_removed after delete on resumable_uploads
      for each row when (not old.is_finished) execute function note_unused_upload()`.execute(db);
    await sql`create trigger resumable_upload_ended after update of storage_name, is_finished on resumable_uploads
      for each row when (not old.is_finished and (new.is_finished or new.storage_name <> old.storage_name))
      execute function note_unused_upload()`.execute(db);
    await sql`alter table unfinished_uploads add column part_upload_id text`.execute(db);
  },
};
