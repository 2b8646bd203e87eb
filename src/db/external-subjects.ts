import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { Session } from '../actor.ts';
import type { UserId } from '../ids.ts';
import { USER_IS_ALLOWED } from './account-blocks.ts';
import { USER_COLUMNS } from './columns.ts';
import type { Db, Tx } from './database.ts';
import { emailOrder } from './email-match.ts';
import { now } from './sql.ts';
import type { Timestamp, User } from './tables.ts';

/** Waits until no other transaction links or creates the account of the subject. */
export async function lockSubject(tx: Tx, subject: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended('parley subject ' || ${subject}, 0))`.execute(tx);
}

export async function findBySubject(db: Db, subject: string): Promise<User | undefined> {
  return db.selectFrom('users').select(USER_COLUMNS).where('subject', '=', subject).executeTakeFirst();
}

/**
 * Finds the user of an external identity provider by subject. Undefined if the token is revoked or was ended, or the account
 * is blocked.
 */
export async function findActiveBySubject(
  db: Db,
  subject: string,
  { tokenId, issuedAt }: Pick<Session, 'tokenId' | 'issuedAt'>,
): Promise<UserId | undefined> {
  const row = await db
    .selectFrom('users')
    .select('id')
    .where('subject', '=', subject)
    .where(
      sql<boolean>`(external_tokens_since is null
        or external_tokens_since <= to_timestamp(${issuedAt}::float8 / 1000))`,
    )
    .where(sql<boolean>`not exists (select from revoked_tokens where token_id = ${tokenId})`)
    .where(USER_IS_ALLOWED)
    .executeTakeFirst();
  return row?.id;
}

/** Records that the account of an external subject was deleted: its tokens issued so far are void. */
export async function addDeletedSubject(tx: Tx, subject: string): Promise<void> {
  await tx
    .insertInto('deletedSubjects')
    .values({ subjectHash: hashSubject(subject) })
    .onConflict((conflict) => conflict.column('subjectHash').doUpdateSet({ deletedAt: now }))
    .execute();
}

/** Returns when the account of an external subject was last deleted. */
export async function findDeletedSubject(db: Db, subject: string): Promise<Timestamp | undefined> {
  const row = await db
    .selectFrom('deletedSubjects')
    .select('deletedAt')
    .where('subjectHash', '=', hashSubject(subject))
    .executeTakeFirst();
  return row?.deletedAt;
}

/** A person who was deleted is not named any more. */
const hashSubject = (subject: string): string => createHash('sha256').update(subject).digest('base64url');

/**
 * Finds the account with this e-mail, if no external subject is linked to it. Matches the e-mail by its characters, ignoring
 * only case and canonical form: a provider may distinguish addresses that have the same key here, and would take over
 * another account.
 */
export async function findUnlinked(db: Db, email: string): Promise<UserId | undefined> {
  const row = await db
    .selectFrom('users')
    .select(['id', 'subject'])
    .where(hasStoredEmail(email))
    .orderBy(emailOrder(email))
    .executeTakeFirst();
  return row?.subject === null ? row.id : undefined;
}

/**
 * Links the account to an external subject, if it still has this e-mail and no subject. The e-mail had not been verified
 * before, so the account's password and tokens become invalid.
 */
export async function adoptSubject(
  tx: Tx,
  { id, email, subject }: { readonly id: UserId; readonly email: string; readonly subject: string },
): Promise<User | undefined> {
  return tx
    .updateTable('users')
    .set({
      subject,
      passwordHash: null,
      sessionsSince: now,
      sessionGeneration: sql<number>`session_generation + 1`,
      keptTokenId: null,
    })
    .where('id', '=', id)
    .where(hasStoredEmail(email))
    .where('subject', 'is', null)
    .returning(USER_COLUMNS)
    .executeTakeFirst();
}

const hasStoredEmail = (email: string): RawBuilder<boolean> =>
  sql<boolean>`lower(users.email) in (${sql.join(storedForms(email))})`;

/** Returns the forms in which an address that was stored before e-mails had keys may be spelled. */
const storedForms = (email: string): RawBuilder<string>[] =>
  [email, email.normalize('NFC'), email.normalize('NFD')].map((form) => sql<string>`lower(${form})`);
