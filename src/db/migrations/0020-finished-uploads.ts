import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/**
 * Keeps the record of an upload to the bucket after it was finished: its URL is still valid, and what arrives there must be
 * removed. Nodes of an older version remove the record as they finish an upload.
 */
export const finishedUploads: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`alter table unfinished_uploads add column is_finished boolean not null default false`.execute(
      db,
    );
  },
};
