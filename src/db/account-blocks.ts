import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { ActorRef } from '../actor.ts';
import type { Db, Tx } from './database.ts';
import type { Timestamp } from './tables.ts';

/** An account that operators have blocked. */
export interface AccountBlock {
  /** Null until it is removed. */
  readonly until: Timestamp | null;
  readonly reason: string;
  readonly blockedAt: Timestamp;
}

/** Whether a block has not ended, by the clock of the database: none needs to be removed in time. */
const IS_IN_EFFECT = sql<boolean>`(until is null or until > clock_timestamp())`;

/** For statements on `users`. */
export const USER_IS_ALLOWED = sql<boolean>`not exists (
  select from account_blocks where user_id = users.id and ${IS_IN_EFFECT}
)`;

/** For statements on `devices`. */
export const DEVICE_IS_ALLOWED = sql<boolean>`not exists (
  select from account_blocks where device_id = devices.id and ${IS_IN_EFFECT}
)`;

/** Blocks the account, or changes its block. Returns false for a time that has passed. */
export async function block(
  tx: Tx,
  actor: ActorRef,
  { until, reason }: { readonly until: Timestamp | null; readonly reason: string },
): Promise<boolean> {
  const column = columnOf(actor);
  const { rows } = await sql`
    insert into account_blocks (${column}, until, reason)
    select ${actor.id}::int, until, ${reason} from (select ${until}::timestamptz as until) as input
    where ${IS_IN_EFFECT}
    on conflict (${column}) do update
      set until = excluded.until, reason = excluded.reason, blocked_at = clock_timestamp()
    returning 1
  `.execute(tx);
  return rows.length > 0;
}

export async function unblock(db: Db, actor: ActorRef): Promise<void> {
  await sql`delete from account_blocks where ${columnOf(actor)} = ${actor.id}`.execute(db);
}

/** Returns the block that is in effect. */
export async function findBlock(db: Db, actor: ActorRef): Promise<AccountBlock | undefined> {
  const { rows } = await sql<AccountBlock>`
    select until, reason, blocked_at from account_blocks
    where ${columnOf(actor)} = ${actor.id} and ${IS_IN_EFFECT}
  `.execute(db);
  return rows[0];
}

/** Removes blocks that have ended. Returns their number. */
export async function deleteEndedBlocks(db: Db): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('accountBlocks')
    .where(sql<boolean>`not ${IS_IN_EFFECT}`)
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}

const columnOf = ({ kind }: ActorRef): RawBuilder<unknown> => sql.ref(`${kind}_id`);
