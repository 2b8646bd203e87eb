import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/**
 * Adds the key of each user's e-mail, and the e-mail from which it was computed. A node of an older version updates
 * only the e-mail: the key is then stale, excluded from the index, and never compared. `fillEmailKeys` fills in the
 * keys, because this migration holds the table's lock and must be short.
 */
export const emailKeys: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`alter table users add column email_key text, add column keyed_email text`.execute(db);
    await sql`
      create unique index users_email_key on users (email_key) where keyed_email = email
    `.execute(db);
  },
};
