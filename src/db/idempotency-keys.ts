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

/** Takes idempotency keys, in an order of its own, and answers those messages that got theirs. Waits for rival claims. */
export async function claimKeys(tx: Tx, claims: readonly KeyClaim[]): Promise<Set<MessageId>> {
  const { rows } = await sql<{ messageId: MessageId }>`
    insert into idempotency_keys (account, key, message_id)
    select account, key, message_id
    from unnest(
      ${claims.map(({ account }) => account)}::text[],
      ${claims.map(({ key }) => key)}::text[],
      ${claims.map(({ messageId }) => messageId)}::int[]
    ) as given (account, key, message_id)
    order by account collate "C", key collate "C", message_id
    on conflict do nothing
    returning message_id
  `.execute(tx);
  return new Set(rows.map((row) => row.messageId));
}

/** The message that a key was first used for; undefined when it was deleted since. */
export async function findMessage(tx: Tx, account: string, key: string): Promise<Message | undefined> {
  return tx
    .selectFrom('messages')
    .innerJoin('idempotencyKeys', 'idempotencyKeys.messageId', 'messages.id')
    .select(MESSAGE_COLUMNS)
    .where('idempotencyKeys.account', '=', account)
    .where('idempotencyKeys.key', '=', key)
    .executeTakeFirst();
}

/** Forgets at most `limit` keys of that age: a retry does not come so late. Answers how many. */
export async function forgetKeys(db: Db, before: Timestamp, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    delete from idempotency_keys where ctid in (
      select ctid from idempotency_keys where created_at < ${before}::timestamptz limit ${limit}
    )
  `.execute(db);
  return Number(numAffectedRows ?? 0);
}
