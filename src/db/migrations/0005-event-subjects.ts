import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/**
 * Adds to each event what it contains data of, so that a deletion finds the events to redact without a scan of the log:
 * its message, or for other events the topics of the accounts, conversations and circles. Both columns are null for
 * events from before this migration, and for those of a node of an older version; `labelEvents` fills them in, because
 * this migration holds the table's lock and must be short.
 */
export const eventSubjects: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`alter table events add column message_id int, add column subjects text[]`.execute(db);
    await sql`create index events_message on events (message_id) where message_id is not null`.execute(db);
    await sql`create index events_subjects on events using gin (subjects) where subjects is not null`.execute(
      db,
    );
    await sql`
      create index events_unlabelled on events (topic, seq) where message_id is null and subjects is null
    `.execute(db);
  },
};
