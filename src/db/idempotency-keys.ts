import { sql } from 'kysely';
import type { MessageId } from '../ids.ts';
import { MESSAGE_COLUMNS } from './columns.ts';
import type { Db, Tx } from './database.ts';
import type { Message, Timestamp } from './tables.ts';

export interface KeyClaim {
  /** Topic of the account. */
  readonly account: string;
  readonly key: string;
  readonly messageId: MessageId;
}

/**
 * Claims idempotency keys, sorted so that concurrent claims cannot deadlock. Waits for concurrent claims of the same
 * key. Returns the messages whose claim succeeded.
 */
export async function claimKeys(tx: Tx, claims: readonly KeyClaim[]): Promise<Set<MessageId>> {
  const { rows } = await sql<{ messageId: MessageId }>`
    insert into idempotency_keys (account, key, message_id)
    select account, key, message_id
    from unnest(
      ${claims.map(({ account }) => account)}::text[],
      ${claims.map(({ key }) => key)}::text[],
      ${claims.map(({ messageId }) => messageId)}::int[]
    ) as input (account, key, message_id)
    order by account collate "C", key collate "C", message_id
    on conflict do nothing
    returning message_id
  `.execute(tx);
  return new Set(rows.map((row) => row.messageId));
}

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
