import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { CircleId, UserId } from '../ids.ts';
import { emailKey } from '../lib/text.ts';
import { USER_COLUMNS } from './columns.ts';
import type { Db, Tx } from './database.ts';
import { anyOf, now } from './sql.ts';
import type { Timestamp, User } from './tables.ts';
import type { ActorRef } from '../actor.ts';

const UNIQUE_VIOLATION = '23505';

export interface NewUser {
  readonly email: string;
  readonly passwordHash: string | null;
  readonly subject: string | null;
  /** Tokens of the identity provider that were issued before this time are rejected. */
  readonly externalTokensSince?: Timestamp | undefined;
  readonly firstName: string;
  readonly lastName: string;
  readonly birthday: string | null;
}

export interface UserChanges {
  readonly email?: string | undefined;
  readonly firstName?: string | undefined;
  readonly lastName?: string | undefined;
  readonly birthday?: string | null | undefined;
}

/**
 * SQL condition: the user's e-mail key equals `key`. A stale key matches nothing: a node of an older version updates
 * only the e-mail, and then `keyed_email` differs from it.
 */
const matchesKey = (key: RawBuilder<unknown>): RawBuilder<boolean> =>
  sql<boolean>`(users.email_key = ${key} and users.keyed_email = users.email)`;

/**
 * SQL condition: the user has the e-mail, in any spelling. Matches one user, and at most one more that was created
 * before e-mails had keys.
 */
export const matchesEmail = (email: string): RawBuilder<boolean> =>
  sql<boolean>`(${matchesKey(sql`${emailKey(email)}`)} or lower(users.email) = lower(${email}))`;

/** Sorts the user with the same spelling first. */
export const emailOrder = (email: string): RawBuilder<boolean> =>
  sql<boolean>`lower(users.email) <> lower(${email})`;

/** Undefined if another account has the e-mail or the subject. */
export async function insert(tx: Tx, user: NewUser): Promise<User | undefined> {
  return tx
    .insertInto('users')
    .values({ ...user, ...toKeyColumns(user) })
    .onConflict((conflict) => conflict.doNothing())
    .returning(USER_COLUMNS)
    .executeTakeFirst();
}

/** Undefined if another account has the e-mail. The transaction has then failed, and must be rolled back. */
export async function update(tx: Tx, id: UserId, changes: UserChanges): Promise<User | undefined> {
  try {
    return await tx
      .updateTable('users')
      .set({ ...changes, ...toKeyColumns(changes), updatedAt: now })
      .where('id', '=', id)
      .returning(USER_COLUMNS)
      .executeTakeFirstOrThrow();
  } catch (error) {
    if (isUniqueViolation(error)) return undefined;
    throw error;
  }
}

const toKeyColumns = ({
  email,
}: UserChanges): { readonly emailKey?: string; readonly keyedEmail?: string } =>
  email === undefined ? {} : { emailKey: emailKey(email), keyedEmail: email };

export const isUniqueViolation = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === UNIQUE_VIOLATION;

/** Replaces an outdated hash of the same password, unless the password has changed since. */
export async function upgradePasswordHash(
  db: Db,
  id: UserId,
  { former, upgraded }: { readonly former: string; readonly upgraded: string },
): Promise<void> {
  await db
    .updateTable('users')
    .set({ passwordHash: upgraded })
    .where('id', '=', id)
    .where('passwordHash', '=', former)
    .execute();
}

export async function setPasswordHash(tx: Tx, id: UserId, passwordHash: string): Promise<User> {
  return tx
    .updateTable('users')
    .set({ passwordHash, updatedAt: now })
    .where('id', '=', id)
    .returning(USER_COLUMNS)
    .executeTakeFirstOrThrow();
}

/**
 * Links the account with this e-mail to an external subject, unless it is linked already. The e-mail had not been
 * verified before, so the account's password and tokens become invalid. Matches the e-mail by its characters, ignoring
 * only case and canonical form: a provider may distinguish addresses that have the same key here, and would take over
 * another account.
 */
export async function adoptSubject(tx: Tx, email: string, subject: string): Promise<User | undefined> {
  return tx
    .updateTable('users')
    .set({
      subject,
      passwordHash: null,
      sessionsSince: now,
      sessionGeneration: sql<number>`session_generation + 1`,
      keptTokenId: null,
    })
    .where('users.id', '=', (eb) =>
      eb
        .selectFrom('users')
        .select('users.id')
        .where(sql<boolean>`lower(users.email) in (${sql.join(storedForms(email))})`)
        .orderBy(emailOrder(email))
        .limit(1),
    )
    .where('subject', 'is', null)
    .returning(USER_COLUMNS)
    .executeTakeFirst();
}

/** Returns the forms in which an address that was stored before e-mails had keys may be spelled. */
const storedForms = (email: string): RawBuilder<string>[] =>
  [email, email.normalize('NFC'), email.normalize('NFD')].map((form) => sql<string>`lower(${form})`);

/** Returns the external subject of the removed account, if it had one. */
export async function remove(tx: Tx, id: UserId): Promise<string | undefined> {
  const row = await tx.deleteFrom('users').where('id', '=', id).returning('subject').executeTakeFirst();
  return row?.subject ?? undefined;
}

export async function findById(db: Db, id: UserId): Promise<User | undefined> {
  return db.selectFrom('users').select(USER_COLUMNS).where('id', '=', id).executeTakeFirst();
}

export async function findByEmail(db: Db, email: string): Promise<User | undefined> {
  return db
    .selectFrom('users')
    .select(USER_COLUMNS)
    .where(matchesEmail(email))
    .orderBy(emailOrder(email))
    .executeTakeFirst();
}

export async function findBySubject(db: Db, subject: string): Promise<User | undefined> {
  return db.selectFrom('users').select(USER_COLUMNS).where('subject', '=', subject).executeTakeFirst();
}

export interface Credentials {
  readonly user: User;
  /** Null for an account without a password. */
  readonly passwordHash: string | null;
  readonly generation: number;
}

/** Returns the credentials for each e-mail, in the same order; undefined for an unknown one. */
export async function findCredentials(
  db: Db,
  emails: readonly string[],
): Promise<(Credentials | undefined)[]> {
  const input = sql<{
    email: string;
    key: string;
    ordinal: number;
  }>`unnest(${emails}::text[], ${emails.map(emailKey)}::text[]) with ordinality`;
  const rows = await db
    .selectFrom(input.as<'input'>(sql`input (email, key, ordinal)`))
    .innerJoin('users', (join) =>
      join.on(sql<boolean>`(${matchesKey(sql`input.key`)} or lower(users.email) = lower(input.email))`),
    )
    .select([...USER_COLUMNS, 'passwordHash', 'sessionGeneration', 'input.ordinal'])
    // The user with the same spelling comes last, and so wins in the map.
    .orderBy(sql`lower(users.email) = lower(input.email)`)
    .execute();
  const found = new Map(
    rows.map(({ ordinal, passwordHash, sessionGeneration, ...user }) => [
      ordinal,
      { user, passwordHash, generation: sessionGeneration },
    ]),
  );
  return emails.map((_email, index) => found.get(index + 1));
}

export interface InvitationState {
  readonly id: UserId;
  /** Whether the account blocks the invitations of everyone. */
  readonly blocksInvitations: boolean;
  readonly isVerified: boolean;
}

/** Returns what decides whether the accounts receive invitations. */
export async function findInvitationStates(db: Db, ids: readonly UserId[]): Promise<InvitationState[]> {
  return db
    .selectFrom('users')
    .select(['id', 'blocksInvitations'])
    .select(sql<boolean>`verified_email is not distinct from email`.as('isVerified'))
    .where('id', '=', anyOf(ids))
    .execute();
}

export async function setBlocksInvitations(tx: Tx, id: UserId, blocksInvitations: boolean): Promise<void> {
  await tx.updateTable('users').set({ blocksInvitations }).where('id', '=', id).execute();
}

/** Marks the account's e-mail as verified if it still is this one. */
export async function setVerifiedEmail(tx: Tx, id: UserId, email: string): Promise<void> {
  await tx
    .updateTable('users')
    .set({ verifiedEmail: email })
    .where('id', '=', id)
    .where('email', '=', email)
    .execute();
}

/** Whether an account or a device has a password hash of a version before Argon2id. */
export async function hasScryptHashes(db: Db): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`
    select exists (select from users where password_hash like 'scrypt$%')
      or exists (select from devices where password_hash like 'scrypt$%') as found
  `.execute(db);
  return rows[0]?.found === true;
}

export async function hasAny(db: Db): Promise<boolean> {
  return (await db.selectFrom('users').select('id').limit(1).executeTakeFirst()) !== undefined;
}

export async function findPasswordHash(
  db: Db,
  id: UserId,
): Promise<{ passwordHash: string | null } | undefined> {
  return db.selectFrom('users').select('passwordHash').where('id', '=', id).executeTakeFirst();
}

/** Returns the circle's member with each e-mail, in the same order; undefined for an e-mail without a member. */
export async function findMembersByEmails(
  db: Db,
  circleId: CircleId,
  emails: readonly string[],
): Promise<(User | undefined)[]> {
  const keys = emails.map(emailKey);
  const input = sql<{
    email: string;
    key: string;
    ordinal: number;
  }>`unnest(${emails}::text[], ${keys}::text[]) with ordinality`;
  const rows = await db
    .selectFrom(input.as<'input'>(sql`input (email, key, ordinal)`))
    .innerJoin('users', (join) =>
      join.on(sql<boolean>`(${matchesKey(sql`input.key`)} or lower(users.email) = lower(input.email))`),
    )
    .innerJoin('memberships', 'memberships.userId', 'users.id')
    .select([...USER_COLUMNS, 'input.ordinal'])
    .where('memberships.circleId', '=', circleId)
    // The member with the same spelling comes last, and so wins in the map.
    .orderBy(sql`lower(users.email) = lower(input.email)`)
    .execute();
  const members = new Map(rows.map(({ ordinal, ...user }) => [ordinal, user]));
  return emails.map((_email, index) => members.get(index + 1));
}

/** Returns the users that are the actor itself, or share a circle with it. */
export async function findVisible(db: Db, actor: ActorRef, ids: readonly UserId[]): Promise<User[]> {
  const circlesOfUser = db
    .selectFrom('memberships')
    .select('circleId')
    .where('userId', '=', sql<UserId>`users.id`);
  const query = db.selectFrom('users').select(USER_COLUMNS).where('users.id', '=', anyOf(ids));
  if (actor.kind === 'device') {
    return query
      .where((eb) =>
        eb.exists(
          eb
            .selectFrom('devices')
            .select('devices.id')
            .where('devices.id', '=', actor.id)
            .where('devices.circleId', 'in', circlesOfUser),
        ),
      )
      .execute();
  }
  return query
    .where((eb) =>
      eb.or([
        eb('users.id', '=', actor.id),
        eb.exists(
          eb
            .selectFrom('memberships as own')
            .select('own.id')
            .where('own.userId', '=', actor.id)
            .where('own.circleId', 'in', circlesOfUser),
        ),
      ]),
    )
    .execute();
}
