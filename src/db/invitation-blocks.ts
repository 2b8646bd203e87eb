import type { UserId } from '../ids.ts';
import type { Db, Tx } from './database.ts';

export async function insert(tx: Tx, userId: UserId, inviterId: UserId): Promise<void> {
  await tx
    .insertInto('invitationBlocks')
    .values({ userId, inviterId })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

export async function remove(tx: Tx, userId: UserId, inviterId: UserId): Promise<void> {
  await tx
    .deleteFrom('invitationBlocks')
    .where('userId', '=', userId)
    .where('inviterId', '=', inviterId)
    .execute();
}

/** Returns the inviters that the user blocks, oldest block first. */
export async function findByUser(db: Db, userId: UserId): Promise<UserId[]> {
  const rows = await db
    .selectFrom('invitationBlocks')
    .select('inviterId')
    .where('userId', '=', userId)
    .orderBy('createdAt')
    .orderBy('inviterId')
    .execute();
  return rows.map(({ inviterId }) => inviterId);
}

/** Whether the user has a pending invitation of the inviter. */
export async function hasInvited(db: Db, inviterId: UserId, userId: UserId): Promise<boolean> {
  const row = await db
    .selectFrom('invitations')
    .select('id')
    .where('userId', '=', userId)
    .where('invitedById', '=', inviterId)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}
