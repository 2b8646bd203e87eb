import * as circles from '../db/circles.ts';
import type { Circle, Invitation, User } from '../db/tables.ts';
import type { Db, Tx } from '../db/database.ts';
import * as users from '../db/users.ts';
import { conflict, forbidden, notFound } from '../errors.ts';
import { accountTopic, circleTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import type { CircleId, InvitationId } from '../ids.ts';
import { requireCaller, requireMember } from './circle-access.ts';
import type { Deps } from './deps.ts';
import { groupBy } from '../lib/group-rows.ts';
import { parseEmail } from '../lib/text.ts';
import type { ActorRef } from '../actor.ts';

interface InvitationInput {
  readonly invitationId: InvitationId;
}

/** Invites a user to a circle. Throws NOT_FOUND, or CONFLICT if the user is a member or invited already. */
export async function inviteToCircle(
  deps: Deps,
  actor: ActorRef,
  input: { readonly circleId: CircleId; readonly email: string },
): Promise<Invitation> {
  const email = parseEmail('email', input.email);
  return transact(deps, async (unit) => {
    const found = await users.findByEmail(unit.tx, email);
    const inbox = found === undefined ? [] : [accountTopic({ kind: 'user', id: found.id })];
    await unit.lock(circleTopic(input.circleId), ...inbox);
    const circle = await requireMember(unit.tx, actor, input.circleId);
    const by = await requireCaller(unit.tx, actor);
    // Read again: the account may have been deleted before its topic was locked.
    const user = found && (await users.findById(unit.tx, found.id));
    if (user === undefined) throw notFound('The user');
    if (await circles.isMember(unit.tx, circle.id, user.id))
      throw conflict('The user is already a member of the circle.');
    const invitation = await circles.insertInvitation(unit.tx, {
      circleId: circle.id,
      userId: user.id,
      invitedById: by.id,
    });
    if (invitation === undefined) throw conflict('The user is already invited.');
    unit.emit({ type: 'circle.invited', userId: user.id, invitation, circle });
    return invitation;
  });
}

/** Accepts an invitation; returns the circle. Throws NOT_FOUND, FORBIDDEN unless the actor is invited. */
export async function acceptInvitation(deps: Deps, actor: ActorRef, input: InvitationInput): Promise<Circle> {
  return transact(deps, async (unit) => {
    const { user, invitation } = await consumeInvitation(unit, actor, input.invitationId);
    const { circleId } = invitation;
    const [circle] = await circles.findByIds(unit.tx, [circleId]);
    if (circle === undefined) throw notFound('The circle');
    await circles.insertMembership(unit.tx, { circleId, userId: user.id, role: 'MEMBER' });
    unit.emit({ type: 'member.joined', circleId, user });
    return circle;
  });
}

/** Declines an invitation; returns it as it was. Throws as `acceptInvitation` does. */
export async function declineInvitation(
  deps: Deps,
  actor: ActorRef,
  input: InvitationInput,
): Promise<Invitation> {
  return transact(
    deps,
    async (unit) => (await consumeInvitation(unit, actor, input.invitationId)).invitation,
  );
}

/** Removes an invitation for its invitee. Of two concurrent calls, one throws NOT_FOUND. */
async function consumeInvitation(
  unit: UnitOfWork,
  actor: ActorRef,
  id: InvitationId,
): Promise<{ user: User; invitation: Invitation }> {
  const found = await circles.findInvitation(unit.tx, id);
  if (found === undefined) throw notFound('The invitation');
  // The account too: its concurrent deletion must see the membership that may follow.
  await unit.lock(circleTopic(found.circleId), accountTopic(actor));
  const invitation = await requireVisible(unit.tx, actor, id);
  const user = await requireCaller(unit.tx, actor);
  if (user.id !== invitation.userId)
    throw forbidden('Only the invited user may accept or decline the invitation.');
  await circles.removeInvitation(unit.tx, id);
  return { user, invitation };
}

/** Finds the pending invitations of circles, oldest first, without an access check. */
export async function findInvitationsByCircles(
  deps: Deps,
  ids: readonly CircleId[],
): Promise<Map<CircleId, Invitation[]>> {
  return groupBy(
    ids,
    await circles.findInvitationsByCircles(deps.db, ids),
    (invitation) => invitation.circleId,
  );
}

/** Finds the pending invitations of the actor, oldest first. */
export async function findInvitationsByActor(deps: Deps, actor: ActorRef): Promise<Invitation[]> {
  return actor.kind === 'user' ? circles.findInvitationsByUser(deps.db, actor.id) : [];
}

/** Returns an invitation. Throws NOT_FOUND unless the actor is its invitee or belongs to its circle. */
export async function requireInvitation(deps: Deps, actor: ActorRef, id: InvitationId): Promise<Invitation> {
  return requireVisible(deps.db, actor, id);
}

async function requireVisible(db: Db | Tx, actor: ActorRef, id: InvitationId): Promise<Invitation> {
  const invitation = await circles.findInvitation(db, id);
  if (invitation === undefined) throw notFound('The invitation');
  const isInvited = actor.kind === 'user' && actor.id === invitation.userId;
  if (!isInvited && (await circles.findAccess(db, actor, invitation.circleId)) === undefined) {
    throw notFound('The invitation');
  }
  return invitation;
}
