import { sql } from 'kysely';
import type { UserId } from '../ids.ts';
import { USER_COLUMNS } from './columns.ts';
import type { Db, Tx } from './database.ts';
import { emailInput, inputOrder, matchesInput } from './email-match.ts';
import { now } from './sql.ts';
import type { User } from './tables.ts';

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
  const rows = await db
    .selectFrom(emailInput(emails))
    .innerJoin('users', (join) => join.on(matchesInput))
    .select([...USER_COLUMNS, 'passwordHash', 'sessionGeneration', 'input.ordinal'])
    .orderBy(inputOrder)
    .execute();
  const found = new Map(
    rows.map(({ ordinal, passwordHash, sessionGeneration, ...user }) => [
      ordinal,
      { user, passwordHash, generation: sessionGeneration },
    ]),
  );
  return emails.map((_email, index) => found.get(index + 1));
}

export async function findPasswordHash(
  db: Db,
  id: UserId,
): Promise<{ passwordHash: string | null } | undefined> {
  return db.selectFrom('users').select('passwordHash').where('id', '=', id).executeTakeFirst();
}

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

/** Whether an account or a device has a password hash of a version before Argon2id. */
export async function hasScryptHashes(db: Db): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`
    select exists (select from users where password_hash like 'scrypt$%')
      or exists (select from devices where password_hash like 'scrypt$%') as found
  `.execute(db);
  return rows[0]?.found === true;
}
