import type { Tx } from '../db/database.ts';
import * as blocks from '../db/invitation-blocks.ts';
import * as held from '../db/held-invitations.ts';
import type { User } from '../db/tables.ts';
import * as users from '../db/users.ts';
import { DomainError, invalidInput, notFound } from '../errors.ts';
import { accountTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { UserId } from '../ids.ts';
import type { ActorRef } from '../actor.ts';
import { groupBy } from '../lib/group-rows.ts';
import { requireCaller } from './circle-access.ts';
import type { Deps } from './deps.ts';
import { deliverInvitations } from './invitation-delivery.ts';

const MAX_BLOCKS = 1_000;

export interface InvitationBlocks {
  readonly everyone: boolean;
  readonly userIds: readonly UserId[];
}

/**
 * Blocks the invitations of a user, or of everyone without `userId`: those that the caller has received and those to come are
 * held, and look the same to their circles. Returns the caller. Throws NOT_FOUND for a user that neither shares a circle
 * with the caller nor has invited it, INVALID_INPUT for the caller itself, LIMIT_EXCEEDED.
 */
export async function blockInvitations(
  deps: Deps,
  actor: ActorRef,
  { userId }: { readonly userId: UserId | undefined },
): Promise<User> {
  return transact(deps, async (unit) => {
    await unit.lock(accountTopic(actor));
    const caller = await requireCaller(unit.tx, actor);
    if (userId === caller.id) throw invalidInput('userId', 'You cannot block your own invitations.');
    if (userId === undefined) {
      await users.setBlocksInvitations(unit.tx, caller.id, true);
    } else {
      const blocked = await blocks.findByUsers(unit.tx, [caller.id]);
      if (!blocked.some(({ inviterId }) => inviterId === userId))
        await addBlock(unit.tx, caller.id, userId, blocked.length);
    }
    await held.takeBack(unit.tx, caller.id, userId);
    return caller;
  });
}

async function addBlock(tx: Tx, callerId: UserId, userId: UserId, blockCount: number): Promise<void> {
  const [visible] = await users.findVisible(tx, { kind: 'user', id: callerId }, [userId]);
  if (visible === undefined && !(await blocks.hasInvited(tx, userId, callerId))) throw notFound('The user');
  if (blockCount >= MAX_BLOCKS)
    throw new DomainError('LIMIT_EXCEEDED', `You block ${MAX_BLOCKS} users: unblock some first.`, {
      limit: `blocked users ${MAX_BLOCKS}`,
    });
  await blocks.insert(tx, callerId, userId);
}

/**
 * Removes a block, of a user or without `userId` that of everyone, and delivers the invitations that it held. Returns the
 * caller. Does nothing without such a block.
 */
export async function unblockInvitations(
  deps: Deps,
  actor: ActorRef,
  { userId }: { readonly userId: UserId | undefined },
): Promise<User> {
  const caller = await transact(deps, async (unit) => {
    await unit.lock(accountTopic(actor));
    const user = await requireCaller(unit.tx, actor);
    if (userId === undefined) await users.setBlocksInvitations(unit.tx, user.id, false);
    else await blocks.remove(unit.tx, user.id, userId);
    return user;
  });
  await deliverInvitations(deps, caller.id);
  return caller;
}

/** Finds the blocks of accounts, oldest first, without an access check. */
export async function findInvitationBlocks(
  deps: Deps,
  ids: readonly UserId[],
): Promise<Map<UserId, InvitationBlocks>> {
  const states = await users.findInvitationStates(deps.db, ids);
  const byUser = groupBy(ids, await blocks.findByUsers(deps.db, ids), ({ userId }) => userId);
  return new Map(
    states.map(({ id, blocksInvitations }) => [
      id,
      { everyone: blocksInvitations, userIds: (byUser.get(id) ?? []).map(({ inviterId }) => inviterId) },
    ]),
  );
}
