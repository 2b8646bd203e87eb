import { sql } from 'kysely';
import type { UserId } from '../ids.ts';
import type { Db, Tx } from './database.ts';
import type { Timestamp } from './tables.ts';

export interface EmailVerification {
  readonly userId: UserId;
  readonly email: string;
  readonly tokenHash: string;
}

/** Stores a token that replaces the account's earlier one. */
export async function replace(
  tx: Tx,
  { userId, email, tokenHash }: EmailVerification,
  ttlSeconds: number,
): Promise<void> {
  const values = {
    email,
    tokenHash,
    expiresAt: sql<Timestamp>`clock_timestamp() + make_interval(secs => ${ttlSeconds})`,
  };
  await tx
    .insertInto('emailVerifications')
    .values({ userId, ...values })
    .onConflict((conflict) => conflict.column('userId').doUpdateSet(values))
    .execute();
}

/** Finds the account's token unless it has expired. */
export async function find(db: Db, userId: UserId): Promise<EmailVerification | undefined> {
  return db
    .selectFrom('emailVerifications')
    .select(['userId', 'email', 'tokenHash'])
    .where('userId', '=', userId)
    .where('expiresAt', '>', sql<Timestamp>`clock_timestamp()`)
    .executeTakeFirst();
}

export async function remove(tx: Tx, userId: UserId): Promise<void> {
  await tx.deleteFrom('emailVerifications').where('userId', '=', userId).execute();
}
