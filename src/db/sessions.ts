import { sql } from 'kysely';
import type { UserId } from '../ids.ts';
import type { Account } from './accounts.ts';
import type { Db, Tx } from './database.ts';
import type { Timestamp } from './tables.ts';
import { now } from './expressions.ts';

const notRevoked = (tokenId: string) =>
  sql<boolean>`not exists (select from revoked_tokens where token_id = ${tokenId})`;

/** What is asked of a token of ours. */
interface Token {
  readonly actor: Account;
  readonly tokenId: string;
  /** In milliseconds since 1970; null when it does not say. */
  readonly issuedAt: number | null;
}

/** Whether the account is there and active, and accepts the token: asked for with every one. */
export async function isActive(db: Db, { actor: account, tokenId, issuedAt }: Token): Promise<boolean> {
  const users = db
    .selectFrom('users')
    .select('id')
    .where(notRevoked(tokenId))
    .where((where) =>
      where.or([
        where('sessionsSince', 'is', null),
        where('sessionsSince', '<=', sql<Timestamp>`to_timestamp(${issuedAt}::float8 / 1000)`),
      ]),
    );
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
