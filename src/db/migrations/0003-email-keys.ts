import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/**
 * Adds the key of each user's e-mail, and the e-mail that it is the key of: a node of the version before changes the
 * e-mail alone, and must not leave its owner with the key of an address that is somebody else's by then. Such a key is in
 * no index and is never compared. `fillEmailKeys` writes the keys: this takes the table's lock, and must be short.
 */
export const emailKeys: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`alter table users add column email_key text, add column keyed_email text`.execute(db);
    await sql`
      create unique index users_email_key on users (email_key) where keyed_email = email
    `.execute(db);
  },
};
