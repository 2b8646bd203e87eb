import type { Kysely } from 'kysely';
import { Migrator } from 'kysely/migration';
import { initial } from './migrations/0001-initial.ts';
import { channelUses } from './migrations/0002-channel-uses.ts';
import { emailKeys } from './migrations/0003-email-keys.ts';
import { sessions } from './migrations/0004-sessions.ts';
import { eventSubjects } from './migrations/0005-event-subjects.ts';
import { heldInvitations } from './migrations/0006-held-invitations.ts';
import { uploads } from './migrations/0007-uploads.ts';
import { logLayout } from './migrations/0008-log-layout.ts';
import { validatedLog } from './migrations/0009-validated-log.ts';
import { partitionedLog } from './migrations/0010-partitioned-log.ts';
import type { Tables } from './tables.ts';

export const MIGRATIONS = {
  '0001-initial': initial,
  '0002-channel-uses': channelUses,
  '0003-email-keys': emailKeys,
  '0004-sessions': sessions,
  '0005-event-subjects': eventSubjects,
  '0006-held-invitations': heldInvitations,
  '0007-uploads': uploads,
  '0008-log-layout': logLayout,
  '0009-validated-log': validatedLog,
  '0010-partitioned-log': partitionedLog,
};

/**
 * Runs pending migrations, under a lock against other processes, each in a transaction of its own: the locks of one are
 * not held during the next. Throws the first error, and rolls back its migration.
 */
export async function migrate(db: Kysely<Tables>): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => MIGRATIONS } });
  for (;;) {
    const { error, results } = await migrator.migrateUp();
    if (error !== undefined) throw error as Error;
    if (results === undefined || results.length === 0) return;
  }
}
