import { isEmailVerificationOn } from '../config.ts';
import * as circles from '../db/circles.ts';
import type { Tx } from '../db/database.ts';
import * as held from '../db/held-invitations.ts';
import type { User } from '../db/tables.ts';
import * as users from '../db/users.ts';
import { accountTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { UserId } from '../ids.ts';
import { indexById } from '../lib/group-rows.ts';
import type { Deps } from './deps.ts';

/** Invitations that an account can have received and not replied to. Further ones are held until it replies. */
const MAX_DELIVERED = 100;

/** Delivers the held invitations for an e-mail, if an account has it. */
export async function deliverInvitationsTo(deps: Deps, email: string): Promise<void> {
  const user = await users.findByEmail(deps.db, email);
  if (user !== undefined) await deliverInvitations(deps, user.id);
}

/**
 * Delivers the invitations that are held for the account's e-mail, and that it does not block. Runs after each change that
 * may allow a delivery has committed: an invitation and the account of its e-mail that are created concurrently each see
 * the other in one of the two deliveries. Never throws, as that change is done: the next one delivers what this could not.
 */
export async function deliverInvitations(deps: Deps, userId: UserId): Promise<void> {
  try {
    await deliver(deps, userId);
  } catch (error) {
    deps.log.warn({ err: error, account: `user:${userId}` }, 'invitations not delivered');
  }
}

async function deliver(deps: Deps, userId: UserId): Promise<void> {
  const user = await users.findById(deps.db, userId);
  if (user === undefined || !(await held.hasAny(deps.db, user.email))) return;
  await transact(deps, async (unit) => {
    await unit.lock(accountTopic({ kind: 'user', id: userId }));
    // Read again, as the lock waits for changes of the account.
    const current = await users.findById(unit.tx, userId);
    if (current === undefined || !(await acceptsInvitations(deps, unit.tx, userId))) return;
    const invitations = await held.deliver(unit.tx, await findDeliverable(deps, unit.tx, current), userId);
    const circlesById = indexById(
      await circles.findByIds(
        unit.tx,
        invitations.map(({ circleId }) => circleId),
      ),
    );
    for (const invitation of invitations) {
      const circle = circlesById.get(invitation.circleId);
      if (circle !== undefined) unit.emit({ type: 'circle.invited', userId, invitation, circle });
    }
  });
}

async function acceptsInvitations(deps: Deps, tx: Tx, userId: UserId): Promise<boolean> {
  const [state] = await users.findInvitationStates(tx, [userId]);
  if (state === undefined || state.blocksInvitations) return false;
  return state.isVerified || !isEmailVerificationOn(deps.config);
}

async function findDeliverable(deps: Deps, tx: Tx, user: User) {
  const room = MAX_DELIVERED - (await held.countDelivered(tx, user.id));
  if (room <= 0) return [];
  const verifiedOnly = isEmailVerificationOn(deps.config);
  const candidates = await held.findDeliverable(tx, user, { limit: room, verifiedOnly });
  const owners = new Map<string, UserId | undefined>();
  for (const { email } of candidates)
    // An account from before e-mails had keys may share the key of another one.
    if (!owners.has(email)) owners.set(email, (await users.findByEmail(tx, email))?.id);
  return candidates.filter(({ email }) => owners.get(email) === user.id).map(({ id }) => id);
}
