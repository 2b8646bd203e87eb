import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { DEVICE_IS_ALLOWED, USER_IS_ALLOWED } from './account-blocks.ts';
import { compileOnce } from './compile-once.ts';
import type { Db, Tx } from './database.ts';
import type { Timestamp } from './tables.ts';
import { now } from './sql.ts';
import type { ActorKind, ActorRef, Session, SessionFamily } from '../actor.ts';

/** More than the clock of a node may differ before it uses the database's (`services/wall-clock.ts`). */
const MAX_CLOCK_OFFSET = sql`interval '30 seconds'`;

/** The claims of a token that are checked against the database. */
export type TokenCheck = Pick<Session, 'actor' | 'tokenId' | 'issuedAt' | 'generation' | 'isExternal'> & {
  readonly family?: Pick<SessionFamily, 'id'> | undefined;
};

/** The checked properties of each token, in the order of `TOKEN_COLUMNS`; null where there is none. */
export const toTokenColumns = (tokens: readonly (TokenCheck | undefined)[]) =>
  [
    tokens.map((token) => token?.tokenId ?? null),
    tokens.map((token) => token?.issuedAt ?? null),
    tokens.map((token) => token?.family?.id ?? null),
    tokens.map((token) => token?.generation ?? null),
    tokens.map((token) => token?.isExternal === true),
  ] as const;

type TokenColumns = ReturnType<typeof toTokenColumns>;

/** Arrays for `unnest`. */
export const tokenArrays = ([tokenIds, issueTimes, families, generations, areExternal]: TokenColumns) =>
  sql`${tokenIds}::text[], ${issueTimes}::float8[], ${families}::text[], ${generations}::int[], ${areExternal}::bool[]`;

export const TOKEN_COLUMNS = sql`token_id, issued_at, family_id, generation, is_external`;

const IS_NOT_REVOKED = sql<boolean>`not exists (
  select from revoked_tokens where revoked_tokens.token_id in (input.token_id, input.family_id)
)`;

const KEEPS_USER_SESSION = sql<boolean>`${USER_IS_ALLOWED} and case
  when input.is_external then
    users.external_tokens_since is null or users.external_tokens_since <= to_timestamp(input.issued_at / 1000)
  when users.kept_token_id = input.token_id then true
  when input.generation is null then
    users.sessions_since is null or users.sessions_since <= to_timestamp(input.issued_at / 1000)
  else input.generation >= users.session_generation
end`;

const KEEPS_DEVICE_SESSION = sql<boolean>`devices.activated and ${DEVICE_IS_ALLOWED} and (
  devices.kept_token_id = input.token_id or coalesce(input.generation, 0) >= devices.session_generation
)`;

/** SQL conditions: the token of `input`, if there is one, is active. For statements that join the row of its account. */
export const isActiveToken: Readonly<Record<ActorKind, RawBuilder<boolean>>> = {
  user: sql`(input.token_id is null or coalesce(${IS_NOT_REVOKED} and ${KEEPS_USER_SESSION}, false))`,
  device: sql`(input.token_id is null or coalesce(${IS_NOT_REVOKED} and ${KEEPS_DEVICE_SESSION}, false))`,
};

/**
 * Checks for each token that its account is active and not blocked, and that neither the token nor its family is revoked, nor all
 * sessions of the account were ended since. Returns the results in the same order.
 */
export async function areActive(db: Db, tokens: readonly TokenCheck[]): Promise<boolean[]> {
  const rows = await checkActive(
    db,
    tokens.map(({ actor }) => actor.kind),
    tokens.map(({ actor }) => actor.id),
    ...toTokenColumns(tokens),
  );
  return rows.map(({ active }) => active);
}

const checkActive = compileOnce(
  (_db, kinds: readonly ActorKind[], ids: readonly number[], ...tokens: TokenColumns) => sql<{
    active: boolean;
  }>`
    select ${IS_NOT_REVOKED}
      and case actor_kind
        when 'user' then exists (select from users where users.id = actor_id and ${KEEPS_USER_SESSION})
        else exists (select from devices where devices.id = actor_id and ${KEEPS_DEVICE_SESSION})
      end as active
    from unnest(
      ${kinds}::text[], ${ids}::int[], ${tokenArrays(tokens)}
    ) with ordinality as input (actor_kind, actor_id, ${TOKEN_COLUMNS}, ordinal)
    order by ordinal
  `,
);

export async function isActive(db: Db, token: TokenCheck): Promise<boolean> {
  const [active = false] = await areActive(db, [token]);
  return active;
}

/** Returns the present generation of the account's sessions; undefined if the account was deleted. */
export async function findGeneration(db: Db, actor: ActorRef): Promise<number | undefined> {
  const row = await (actor.kind === 'user'
    ? db.selectFrom('users').select('sessionGeneration').where('id', '=', actor.id).executeTakeFirst()
    : db.selectFrom('devices').select('sessionGeneration').where('id', '=', actor.id).executeTakeFirst());
  return row?.sessionGeneration;
}

/** Ends all sessions of the account but that of one token. Returns the new generation; undefined if it was deleted. */
export async function endAll(
  tx: Tx,
  actor: ActorRef,
  keptTokenId: string | null,
): Promise<number | undefined> {
  const sessionGeneration = sql<number>`session_generation + 1`;
  const row = await (actor.kind === 'user'
    ? tx
        .updateTable('users')
        .set({ sessionGeneration, keptTokenId, sessionsSince: now, externalTokensSince: now })
        .where('id', '=', actor.id)
        .returning('sessionGeneration')
        .executeTakeFirst()
    : tx
        .updateTable('devices')
        .set({ sessionGeneration, keptTokenId })
        .where('id', '=', actor.id)
        .returning('sessionGeneration')
        .executeTakeFirst());
  return row?.sessionGeneration;
}

/** Records that a token was refreshed. Returns how long ago it was refreshed first, in milliseconds. */
export async function markRefreshed(db: Db, tokenId: string, expiresAt: Timestamp): Promise<number> {
  const { rows } = await sql<{ age: number }>`
    insert into refreshed_tokens (token_id, expires_at) values (${tokenId}, ${expiresAt})
    on conflict (token_id) do update set expires_at = excluded.expires_at
    returning extract(epoch from clock_timestamp() - refreshed_at)::float8 * 1000 as age
  `.execute(db);
  return rows[0]?.age ?? 0;
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
 * Deletes revocations and refreshes of tokens that have expired, by the clock of every node, and are rejected anyway.
 * Returns the number of deleted rows.
 */
export async function deleteExpiredRevocations(db: Db): Promise<number> {
  let count = 0;
  for (const table of ['revokedTokens', 'refreshedTokens'] as const) {
    const { numDeletedRows } = await db
      .deleteFrom(table)
      .where(sql<boolean>`expires_at < clock_timestamp() - ${MAX_CLOCK_OFFSET}`)
      .executeTakeFirstOrThrow();
    count += Number(numDeletedRows);
  }
  return count;
}
