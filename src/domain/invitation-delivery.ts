import { isEmailVerificationOn } from '../config.ts';
import * as circles from '../db/circles.ts';
import type { Tx } from '../db/database.ts';
import * as held from '../db/held-invitations.ts';
import * as users from '../db/users.ts';
import { accountTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import type { InvitationId, UserId } from '../ids.ts';
import { indexById } from '../lib/group-rows.ts';
import type { Deps } from './deps.ts';

/** Invitations that an account can have received and not replied to. Further ones are held until it replies. */
const MAX_DELIVERED = 100;

interface Recipient {
  readonly id: UserId;
  readonly email: string;
}

/** Stands for an account that does not exist. */
export const NO_ACCOUNT = 0 as UserId;

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
  await logFailure(deps, async () => {
    const user = await users.findById(deps.db, userId);
    if (user === undefined || !(await held.hasAny(deps.db, user.email))) return;
    await transact(deps, async (unit) => {
      await unit.lock(accountTopic({ kind: 'user', id: userId }));
      await deliver(deps, unit, user);
    });
  });
}

/**
 * Delivers a new invitation if an account accepts it. Otherwise runs the same statements, with one write in place of the
 * event, so that the response time does not tell the inviter.
 */
export async function deliverNewInvitation(
  deps: Deps,
  { id, email, inviterId }: { readonly id: InvitationId; readonly email: string; readonly inviterId: UserId },
): Promise<void> {
  await logFailure(deps, async () => {
    const user = await users.findByEmail(deps.db, email);
    await transact(deps, async (unit) => {
      await unit.lock(accountTopic({ kind: 'user', id: user?.id ?? inviterId }));
      const delivered = await deliver(deps, unit, user ?? { id: NO_ACCOUNT, email });
      if (delivered === 0) await held.touch(unit.tx, id);
    });
  });
}

async function logFailure(deps: Deps, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    deps.log.warn({ err: error }, 'invitations not delivered');
  }
}

/** Returns how many invitations were delivered. Runs the same statements for any number, and without an account. */
async function deliver(deps: Deps, unit: UnitOfWork, recipient: Recipient): Promise<number> {
  const { tx } = unit;
  // Read again, as the lock waits for changes of the account.
  const user = await users.findById(tx, recipient.id);
  const ids = await findDeliverable(deps, tx, user ?? recipient);
  const invitations = await held.deliver(tx, ids, recipient.id);
  const circleIds = invitations.map(({ circleId }) => circleId);
  const circlesById = indexById(await circles.findByIds(tx, circleIds));
  for (const invitation of invitations) {
    const circle = circlesById.get(invitation.circleId);
    if (circle !== undefined) unit.emit({ type: 'circle.invited', userId: recipient.id, invitation, circle });
  }
  return invitations.length;
}

/** Finds the held invitations that the account may receive now; none without an account. */
async function findDeliverable(deps: Deps, tx: Tx, { id, email }: Recipient): Promise<InvitationId[]> {
  const verifiedOnly = isEmailVerificationOn(deps.config);
  const [state] = await users.findInvitationStates(tx, [id]);
  const room = Math.max(0, MAX_DELIVERED - (await held.countDelivered(tx, id)));
  const candidates = await held.findDeliverable(tx, { id, email }, { limit: room, verifiedOnly });
  // An account from before e-mails had keys may share the key of another one.
  const owners = new Map([[email.toLowerCase(), (await users.findByEmail(tx, email))?.id]]);
  for (const candidate of candidates) {
    const spelling = candidate.email.toLowerCase();
    if (!owners.has(spelling)) owners.set(spelling, (await users.findByEmail(tx, candidate.email))?.id);
  }
  if (state === undefined || state.blocksInvitations || (verifiedOnly && !state.isVerified)) return [];
  return candidates
    .filter((candidate) => owners.get(candidate.email.toLowerCase()) === id)
    .map((candidate) => candidate.id);
}
