import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Adds the names of nodes to the audit log, whose entries outlive their nodes. */
export const auditNodeNames: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`alter table audit_log add column node_name text`.execute(db);
  },
};
