import { sql } from 'kysely';
import type { CircleId, UserId } from '../ids.ts';
import { emailKey } from '../lib/text.ts';
import { USER_COLUMNS } from './columns.ts';
import type { Db, Tx } from './database.ts';
import { emailInput, emailOrder, inputOrder, matchesEmail, matchesInput } from './email-match.ts';
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

export async function hasAny(db: Db): Promise<boolean> {
  return (await db.selectFrom('users').select('id').limit(1).executeTakeFirst()) !== undefined;
}

/** Returns the circle's member with each e-mail, in the same order; undefined for an e-mail without a member. */
export async function findMembersByEmails(
  db: Db,
  circleId: CircleId,
  emails: readonly string[],
): Promise<(User | undefined)[]> {
  const rows = await db
    .selectFrom(emailInput(emails))
    .innerJoin('users', (join) => join.on(matchesInput))
    .innerJoin('memberships', 'memberships.userId', 'users.id')
    .select([...USER_COLUMNS, 'input.ordinal'])
    .where('memberships.circleId', '=', circleId)
    .orderBy(inputOrder)
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
