import { sql } from 'kysely';
import type { UserId } from '../ids.ts';
import { emailKey } from '../lib/text.ts';
import type { Db } from './database.ts';
import { isUniqueViolation } from './users.ts';

const BATCH = 2_000;

/**
 * Gives a key to each user that has none of their e-mail: those from before there were keys, and those whom a node of
 * the version before has written since. Of two whose e-mails are the same but for their form the older one gets it; the
 * other is still found by the e-mail as it was typed. Each batch is a transaction of its own, and one node at a time runs one.
 */
export async function fillEmailKeys(db: Db): Promise<void> {
  for (let last: UserId | undefined = 0 as UserId; last !== undefined;)
    last = await fillBatch(db, last).catch((error: unknown) => {
      // An account with the same key was made meanwhile: it is seen by the next attempt.
      if (isUniqueViolation(error)) return last;
      throw error;
    });
}

/** Returns the newest user that it looked at; undefined when there are no more. */
function fillBatch(db: Db, after: UserId): Promise<UserId | undefined> {
  return db.transaction().execute(async (tx) => {
    await sql`select pg_advisory_xact_lock(hashtext('parley email keys'))`.execute(tx);
    const rows = await tx
      .selectFrom('users')
      .select(['id', 'email'])
      .where('id', '>', after)
      .where(sql<boolean>`keyed_email is distinct from email`)
      .orderBy('id')
      .limit(BATCH)
      .execute();
    const ids = rows.map(({ id }) => id);
    const emails = rows.map(({ email }) => email);
    await sql`
      update users set email_key = given.key, keyed_email = given.email
      from (
        select distinct on (key) id, email, key
        from unnest(${ids}::int[], ${emails}::text[], ${emails.map(emailKey)}::text[]) as rows (id, email, key)
        order by key, id
      ) as given
      where users.id = given.id and users.email = given.email and not exists (
        select 1 from users as other where other.email_key = given.key and other.keyed_email = other.email
      )
    `.execute(tx);
    return rows.at(-1)?.id;
  });
}
