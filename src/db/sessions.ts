import { sql } from 'kysely';
import type { UserId } from '../ids.ts';
import type { Account } from './accounts.ts';
import type { Db, Tx } from './database.ts';
import type { Timestamp } from './tables.ts';
import { now } from './expressions.ts';

const notRevoked = (tokenId: string) =>
  sql<boolean>`not exists (select from revoked_tokens where token_id = ${tokenId})`;

/** Whether the account is there and active, and the token was not revoked: asked for with every token. */
export async function isActive(db: Db, account: Account, tokenId: string): Promise<boolean> {
  const users = db.selectFrom('users').select('id').where(notRevoked(tokenId));
  const devices = db
    .selectFrom('devices')
    .select('id')
    .where('activated', '=', true)
    .where(notRevoked(tokenId));
  const row =
    account.kind === 'user'
      ? await users.where('id', '=', account.id).executeTakeFirst()
      : await devices.where('id', '=', account.id).executeTakeFirst();
  return row !== undefined;
}

/** The same for a user of an outside identity provider. */
export async function findActiveBySubject(
  db: Db,
  subject: string,
  tokenId: string,
): Promise<UserId | undefined> {
  const row = await db
    .selectFrom('users')
    .select('id')
    .where('subject', '=', subject)
    .where(notRevoked(tokenId))
    .executeTakeFirst();
  return row?.id;
}

export async function isRevoked(db: Db, tokenId: string): Promise<boolean> {
  const row = await db
    .selectFrom('revokedTokens')
    .select('tokenId')
    .where('tokenId', '=', tokenId)
    .executeTakeFirst();
  return row !== undefined;
}

/** False when it was revoked already. */
export async function revoke(tx: Tx, tokenId: string, expiresAt: Timestamp): Promise<boolean> {
  const row = await tx
    .insertInto('revokedTokens')
    .values({ tokenId, expiresAt })
    .onConflict((conflict) => conflict.doNothing())
    .returning('tokenId')
    .executeTakeFirst();
  return row !== undefined;
}

/** Forgets revocations of tokens that have expired: they are refused without. */
export async function forgetExpired(db: Db): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('revokedTokens')
    .where('expiresAt', '<', now)
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}
