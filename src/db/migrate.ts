import type { Kysely } from 'kysely';
import { Migrator } from 'kysely/migration';
import { initial } from './migrations/0001-initial.ts';
import { channelUses } from './migrations/0002-channel-uses.ts';
import { emailKeys } from './migrations/0003-email-keys.ts';
import { sessions } from './migrations/0004-sessions.ts';
import { eventSubjects } from './migrations/0005-event-subjects.ts';
import { heldInvitations } from './migrations/0006-held-invitations.ts';
import { uploads } from './migrations/0007-uploads.ts';
import type { Tables } from './tables.ts';

const MIGRATIONS = {
  '0001-initial': initial,
  '0002-channel-uses': channelUses,
  '0003-email-keys': emailKeys,
  '0004-sessions': sessions,
  '0005-event-subjects': eventSubjects,
  '0006-held-invitations': heldInvitations,
  '0007-uploads': uploads,
};

/** Runs pending migrations, under a lock against other processes. Throws the first error, and rolls back. */
export async function migrate(db: Kysely<Tables>): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => MIGRATIONS } });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw error as Error;
}
