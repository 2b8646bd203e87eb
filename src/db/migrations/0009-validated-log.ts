import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Reads the whole log, in a transaction of its own and beside writers. */
export const validatedLog: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`alter table events validate constraint events_era`.execute(db);
  },
};
