import { createHash } from 'node:crypto';
import * as circles from '../db/circles.ts';
import * as held from '../db/held-invitations.ts';
import type { Circle, CircleInvitation, User } from '../db/tables.ts';
import type { Db, Tx } from '../db/database.ts';
import * as users from '../db/users.ts';
import { conflict, DomainError, forbidden, notFound } from '../errors.ts';
import { accountTopic, circleTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import type { UnitOfWork } from '../events/unit-of-work.ts';
import type { CircleId, InvitationId } from '../ids.ts';
import { requireCaller, requireMember } from './circle-access.ts';
import type { Deps } from './deps.ts';
import { requireUnderHourlyLimits } from './hourly-limits.ts';
import { deliverInvitations, deliverNewInvitation, NO_ACCOUNT } from './invitation-delivery.ts';
import { groupBy } from '../lib/group-rows.ts';
import { emailKey, parseEmail } from '../lib/text.ts';
import { requireUser } from '../actor.ts';
import type { ActorRef } from '../actor.ts';

interface InvitationInput {
  readonly invitationId: InvitationId;
}

// Limits of invitations, off with `RATE_LIMITS=off`. Those by hour are counted over all nodes, by hour of the clock.
/** Pending invitations of an inviter, and of a circle, of the last days. Older ones do not count: some have no account. */
const MAX_PENDING = 1_000;
const PENDING_DAYS = 30;
const MAX_PER_INVITER_AND_HOUR = 1_000;
const MAX_PER_EMAIL_AND_HOUR = 100;
/** From one inviter to one e-mail. */
const MAX_PER_PAIR_AND_HOUR = 20;

/**
 * Invites the owner of an e-mail to a circle, and returns the same whether an account has it or not: the invitation is held
 * until `deliverInvitations` finds the account. Throws NOT_FOUND for the circle, CONFLICT if the owner is a member or
 * invited already, RATE_LIMITED, and LIMIT_EXCEEDED for too many pending invitations.
 */
export async function inviteToCircle(
  deps: Deps,
  actor: ActorRef,
  input: { readonly circleId: CircleId; readonly email: string },
): Promise<CircleInvitation> {
  const email = parseEmail('email', input.email);
  const inserted = await transact(deps, async (unit) => {
    await unit.lock(circleTopic(input.circleId));
    const circle = await requireMember(unit.tx, actor, input.circleId);
    const { id: invitedById } = await requireCaller(unit.tx, actor);
    if (deps.config.RATE_LIMITS === 'on')
      await limitInvitations(deps, unit.tx, { circleId: circle.id, invitedById, email });
    const user = await users.findByEmail(unit.tx, email);
    // The same statements run without an account, so that the response time does not tell.
    const userId = user?.id ?? NO_ACCOUNT;
    if (await circles.isMember(unit.tx, circle.id, userId))
      throw conflict('The user is already a member of the circle.');
    const id = await held.insert(unit.tx, { circleId: circle.id, invitedById, email });
    // Checked after the insertion, which waits for a concurrent delivery of the same e-mail.
    const isInvited = await circles.hasInvitation(unit.tx, circle.id, userId);
    if (id === undefined || isInvited) throw conflict('The user is already invited.');
    const found = await held.find(unit.tx, id);
    if (found === undefined) throw notFound('The invitation');
    // The inviter may see the account if both share another circle.
    return { ...found, userId: user?.id ?? null };
  });
  await deliverNewInvitation(deps, { id: inserted.id, email, inviterId: requireUser(actor) });
  return inserted;
}

/** Throws RATE_LIMITED or LIMIT_EXCEEDED. E-mails are counted by their hash: whether an account has one is not read. */
async function limitInvitations(
  deps: Deps,
  tx: Tx,
  { circleId, invitedById, email }: held.NewInvitation,
): Promise<void> {
  const address = createHash('sha256').update(emailKey(email)).digest('hex').slice(0, 32);
  const limits = new Map([
    [`invitations to ${address}`, MAX_PER_EMAIL_AND_HOUR],
    [`invitations from ${invitedById}`, MAX_PER_INVITER_AND_HOUR],
    [`invitations from ${invitedById} to ${address}`, MAX_PER_PAIR_AND_HOUR],
  ]);
  await requireUnderHourlyLimits(deps, tx, { accountId: invitedById, name: 'invitations', limits });
  const pending = await held.countPending(tx, { inviterId: invitedById, circleId, days: PENDING_DAYS });
  if (pending.byInviter >= MAX_PENDING || pending.byCircle >= MAX_PENDING)
    throw new DomainError(
      'LIMIT_EXCEEDED',
      `You or the circle have ${MAX_PENDING} pending invitations of the last ${PENDING_DAYS} days.`,
      { limit: `pending invitations ${MAX_PENDING}` },
    );
}

/** Accepts an invitation; returns the circle. Throws NOT_FOUND, FORBIDDEN unless the actor is invited. */
export async function acceptInvitation(deps: Deps, actor: ActorRef, input: InvitationInput): Promise<Circle> {
  const joined = await transact(deps, async (unit) => {
    const { user, invitation } = await consumeInvitation(unit, actor, input.invitationId);
    const { circleId } = invitation;
    const [circle] = await circles.findByIds(unit.tx, [circleId]);
    if (circle === undefined) throw notFound('The circle');
    await circles.insertMembership(unit.tx, { circleId, userId: user.id, role: 'MEMBER' });
    unit.emit({ type: 'member.joined', circleId, user });
    return circle;
  });
  // There is room for one more in the inbox.
  await deliverInvitations(deps, requireUser(actor));
  return joined;
}

/** Declines an invitation; returns it as it was. Throws as `acceptInvitation` does. */
export async function declineInvitation(
  deps: Deps,
  actor: ActorRef,
  input: InvitationInput,
): Promise<CircleInvitation> {
  const declined = await transact(
    deps,
    async (unit) => (await consumeInvitation(unit, actor, input.invitationId)).invitation,
  );
  await deliverInvitations(deps, requireUser(actor));
  return declined;
}

/** Removes an invitation for its invitee. Of two concurrent calls, one throws NOT_FOUND. */
async function consumeInvitation(
  unit: UnitOfWork,
  actor: ActorRef,
  id: InvitationId,
): Promise<{ user: User; invitation: CircleInvitation }> {
  const found = await held.find(unit.tx, id);
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

/** Finds the pending invitations of circles, delivered or not, oldest first, without an access check. */
export async function findInvitationsByCircles(
  deps: Deps,
  ids: readonly CircleId[],
): Promise<Map<CircleId, CircleInvitation[]>> {
  return groupBy(ids, await held.findByCircles(deps.db, ids), (invitation) => invitation.circleId);
}

/** Finds the pending invitations of the actor, oldest first. */
export async function findInvitationsByActor(deps: Deps, actor: ActorRef): Promise<CircleInvitation[]> {
  return actor.kind === 'user' ? circles.findInvitationsByUser(deps.db, actor.id) : [];
}

/** Returns an invitation. Throws NOT_FOUND unless the actor is its invitee or belongs to its circle. */
export async function requireInvitation(
  deps: Deps,
  actor: ActorRef,
  id: InvitationId,
): Promise<CircleInvitation> {
  return requireVisible(deps.db, actor, id);
}

async function requireVisible(db: Db | Tx, actor: ActorRef, id: InvitationId): Promise<CircleInvitation> {
  const invitation = await held.find(db, id);
  if (invitation === undefined) throw notFound('The invitation');
  const isInvited = actor.kind === 'user' && actor.id === invitation.userId;
  if (!isInvited && (await circles.findAccess(db, actor, invitation.circleId)) === undefined) {
    throw notFound('The invitation');
  }
  return invitation;
}
