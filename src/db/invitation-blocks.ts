import type { UserId } from '../ids.ts';
import type { Db, Tx } from './database.ts';
import { anyOf } from './sql.ts';

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

/** Finds the blocks of the users, oldest first. */
export async function findByUsers(
  db: Db,
  userIds: readonly UserId[],
): Promise<{ readonly userId: UserId; readonly inviterId: UserId }[]> {
  return db
    .selectFrom('invitationBlocks')
    .select(['userId', 'inviterId'])
    .where('userId', '=', anyOf(userIds))
    .orderBy('createdAt')
    .orderBy('inviterId')
    .execute();
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
