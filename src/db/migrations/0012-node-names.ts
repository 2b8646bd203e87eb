import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Adds what operators see of a node that does not answer. */
export const nodeNames: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`alter table nodes
      add column name text,
      add column version text,
      add column stopped_at timestamptz(3)`.execute(db);
  },
};
