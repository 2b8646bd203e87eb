import { sql } from 'kysely';
import type { UserId } from '../ids.ts';
import type { Db, Tx } from './database.ts';
import type { Timestamp } from './tables.ts';
import { now } from './sql.ts';
import type { ActorRef } from '../actor.ts';

const notRevoked = (tokenId: string) =>
  sql<boolean>`not exists (select from revoked_tokens where token_id = ${tokenId})`;

/** The claims of one of our tokens that are checked against the database. */
export interface TokenCheck {
  readonly actor: ActorRef;
  readonly tokenId: string;
  /** In milliseconds since the epoch; null without `iat`. */
  readonly issuedAt: number | null;
}

/**
 * Checks for each token that its account is active, and that the token is neither revoked nor older than the account's
 * sessions. Returns the results in the same order.
 */
export async function areActive(db: Db, tokens: readonly TokenCheck[]): Promise<boolean[]> {
  const { rows } = await sql<{ active: boolean }>`
    select not exists (select from revoked_tokens where revoked_tokens.token_id = input.token_id)
      and case actor_kind
        when 'user' then exists (
          select from users
          where users.id = actor_id
            and (sessions_since is null or sessions_since <= to_timestamp(issued_at / 1000))
        )
        else exists (select from devices where devices.id = actor_id and activated)
      end as active
    from unnest(
      ${tokens.map(({ actor }) => actor.kind)}::text[],
      ${tokens.map(({ actor }) => actor.id)}::int[],
      ${tokens.map(({ tokenId }) => tokenId)}::text[],
      ${tokens.map(({ issuedAt }) => issuedAt)}::float8[]
    ) with ordinality as input (actor_kind, actor_id, token_id, issued_at, ordinal)
    order by ordinal
  `.execute(db);
  return rows.map(({ active }) => active);
}

export async function isActive(db: Db, token: TokenCheck): Promise<boolean> {
  const [active = false] = await areActive(db, [token]);
  return active;
}

/** Finds the user of an external identity provider by subject. Undefined if the token is revoked. */
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

/** Returns false if the token was already revoked. */
export async function revoke(tx: Tx, tokenId: string, expiresAt: Timestamp): Promise<boolean> {
  const row = await tx
    .insertInto('revokedTokens')
    .values({ tokenId, expiresAt })
    .onConflict((conflict) => conflict.doNothing())
    .returning('tokenId')
    .executeTakeFirst();
  return row !== undefined;
}

/**
 * Deletes revocations of expired tokens, which are rejected anyway. Compares both clocks, because expiry is checked by
 * the clock of this process. Returns the number of deleted rows.
 */
export async function deleteExpiredRevocations(db: Db): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('revokedTokens')
    .where('expiresAt', '<', now)
    .where('expiresAt', '<', new Date(Date.now()).toISOString())
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}
