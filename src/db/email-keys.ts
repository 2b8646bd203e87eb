import { sql } from 'kysely';
import type { UserId } from '../ids.ts';
import { emailKey } from '../lib/text.ts';
import type { Db } from './database.ts';
import { isUniqueViolation } from './users.ts';

const BATCH_SIZE = 2_000;

/**
 * Fills in the missing e-mail keys: of users from before migration 0003, and of users that a node of an older version
 * has written since. If two e-mails have the same key, the older user gets it, and the other is still found by the
 * exact e-mail. Each batch is a transaction; an advisory lock limits them to one node at a time.
 */
export async function fillEmailKeys(db: Db): Promise<void> {
  for (let last: UserId | undefined = 0 as UserId; last !== undefined;)
    last = await fillBatch(db, last).catch((error: unknown) => {
      // An account with the same key was created concurrently. The next attempt sees it.
      if (isUniqueViolation(error)) return last;
      throw error;
    });
}

/** Fills one batch. Returns its last user id; undefined after the last batch. */
function fillBatch(db: Db, after: UserId): Promise<UserId | undefined> {
  return db.transaction().execute(async (tx) => {
    await sql`select pg_advisory_xact_lock(hashtext('parley email keys'))`.execute(tx);
    const rows = await tx
      .selectFrom('users')
      .select(['id', 'email'])
      .where('id', '>', after)
      .where(sql<boolean>`keyed_email is distinct from email`)
      .orderBy('id')
      .limit(BATCH_SIZE)
      .execute();
    const ids = rows.map(({ id }) => id);
    const emails = rows.map(({ email }) => email);
    await sql`
      update users set email_key = input.key, keyed_email = input.email
      from (
        select distinct on (key) id, email, key
        from unnest(${ids}::int[], ${emails}::text[], ${emails.map(emailKey)}::text[]) as rows (id, email, key)
        order by key, id
      ) as input
      where users.id = input.id and users.email = input.email and not exists (
        select 1 from users as other where other.email_key = input.key and other.keyed_email = other.email
      )
    `.execute(tx);
    return rows.at(-1)?.id;
  });
}
