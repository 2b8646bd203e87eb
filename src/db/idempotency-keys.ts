import { sql } from 'kysely';
import type { MessageId } from '../ids.ts';
import { MESSAGE_COLUMNS } from './columns.ts';
import { compileOnce } from './compile-once.ts';
import type { Db, Tx } from './database.ts';
import type { Message, Timestamp } from './tables.ts';
import { conflict } from '../errors.ts';

/** An idempotency key of an account, which is given by its topic. */
export interface AccountKey {
  readonly account: string;
  readonly key: string;
}

export interface KeyClaim extends AccountKey {
  readonly messageId: MessageId;
}

/** Returns those of the keys that are claimed. */
export async function findClaimed(db: Db, accountKeys: readonly AccountKey[]): Promise<AccountKey[]> {
  if (accountKeys.length === 0) return [];
  return selectClaimed(db, ...toColumns(accountKeys));
}

/**
 * Claims idempotency keys, sorted so that concurrent claims cannot deadlock. Waits for concurrent claims of the same
 * key. Throws CONFLICT if one succeeds: that of another conversation, as the conversation's lock is held.
 */
export async function claimKeys(tx: Tx, claims: readonly KeyClaim[]): Promise<void> {
  const messageIds = claims.map(({ messageId }) => messageId);
  await insertClaims(tx, messageIds, ...toColumns(claims)).catch((error: unknown) => {
    throw isClaimed(error) ? conflict('This idempotency key was used in another conversation.') : error;
  });
}

const toColumns = (accountKeys: readonly AccountKey[]) =>
  [accountKeys.map(({ account }) => account), accountKeys.map(({ key }) => key)] as const;

type Columns = ReturnType<typeof toColumns>;

const unnestKeys = ([accounts, keys]: Columns) => sql`unnest(${accounts}::text[], ${keys}::text[])`;

const selectClaimed = compileOnce(
  (_db, ...columns: Columns) => sql<AccountKey>`
    select account, key from idempotency_keys join ${unnestKeys(columns)} as input (account, key) using (account, key)
  `,
);

const insertClaims = compileOnce(
  (_db, messageIds: readonly MessageId[], ...columns: Columns) => sql`
    insert into idempotency_keys (account, key, message_id)
    select account, key, message_id
    from rows from (${unnestKeys(columns)}, unnest(${messageIds}::int[])) as input (account, key, message_id)
    order by account collate "C", key collate "C"
  `,
);

const isClaimed = (error: unknown): boolean =>
  error instanceof Error && 'constraint' in error && error.constraint === 'idempotency_keys_pkey';

/** Finds the message of the first send with this key. Undefined if it was deleted since. */
export async function findMessage(tx: Tx, account: string, key: string): Promise<Message | undefined> {
  return tx
    .selectFrom('messages')
    .innerJoin('idempotencyKeys', 'idempotencyKeys.messageId', 'messages.id')
    .select(MESSAGE_COLUMNS)
    .where('idempotencyKeys.account', '=', account)
    .where('idempotencyKeys.key', '=', key)
    .executeTakeFirst();
}

/** Deletes the keys of a deleted account. */
export async function deleteKeysOf(tx: Tx, account: string): Promise<void> {
  await tx.deleteFrom('idempotencyKeys').where('account', '=', account).execute();
}

/** Deletes at most `limit` keys from before a time. Returns the number of deleted keys. */
export async function deleteKeysBefore(db: Db, before: Timestamp, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    delete from idempotency_keys where ctid in (
      select ctid from idempotency_keys where created_at < ${before}::timestamptz limit ${limit}
    )
  `.execute(db);
  return Number(numAffectedRows ?? 0);
}
