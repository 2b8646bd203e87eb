import * as circles from '../db/circles.ts';
import type { Circle, Membership } from '../db/tables.ts';
import * as users from '../db/users.ts';
import { forbidden, notFound } from '../errors.ts';
import { accountTopic, circleTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import { openStream } from '../events/open-stream.ts';
import type { EventStream, ReaderOptions } from '../events/stream.ts';
import type { CircleId, MembershipId } from '../ids.ts';
import { requireCaller, requireCircleAccess, requireCircleAdmin, requireMember } from './circle-access.ts';
import {
  removeFromCircle,
  lockForCircleDeletion,
  lockForMemberRemoval,
  removeCircle,
} from './membership-removal.ts';
import type { Deps } from './deps.ts';
import { removeUnusedFiles } from '../services/retention.ts';
import { indexById, groupBy } from '../lib/group-rows.ts';
import { parseEmail, parseName } from '../lib/text.ts';
import type { ActorRef, Session } from '../actor.ts';
import { requireUser } from '../actor.ts';

export {
  acceptInvitation,
  declineInvitation,
  findInvitationsByActor,
  findInvitationsByCircles,
  inviteToCircle,
  requireInvitation,
} from './invitations.ts';

interface CircleInput {
  readonly circleId: CircleId;
}

/** Creates a circle with the actor as its ADMIN. Throws FORBIDDEN for a device. */
export async function createCircle(
  deps: Deps,
  actor: ActorRef,
  input: { readonly name: string },
): Promise<Circle> {
  const userId = requireUser(actor);
  const name = parseName('name', input.name);
  return transact(deps, async (unit) => {
    // A concurrent deletion of the account must see this membership.
    await unit.lock(accountTopic(actor));
    await requireCaller(unit.tx, actor);
    const circle = await circles.insert(unit.tx, name);
    await unit.create(circleTopic(circle.id));
    await circles.insertMembership(unit.tx, { circleId: circle.id, userId, role: 'ADMIN' });
    return circle;
  });
}

export async function updateCircle(
  deps: Deps,
  actor: ActorRef,
  input: CircleInput & { readonly name: string },
): Promise<Circle> {
  const name = parseName('name', input.name);
  return transact(deps, async (unit) => {
    await unit.lock(circleTopic(input.circleId));
    await requireMember(unit.tx, actor, input.circleId);
    const circle = await circles.rename(unit.tx, input.circleId, name);
    unit.emit({ type: 'circle.updated', circle });
    return circle;
  });
}

/** Deletes a circle with all its contents; returns it as it was. Throws NOT_FOUND, FORBIDDEN unless an ADMIN. */
export async function deleteCircle(deps: Deps, actor: ActorRef, input: CircleInput): Promise<Circle> {
  const result = await transact(deps, async (unit) => {
    await lockForCircleDeletion(unit, input.circleId);
    const circle = await requireCircleAdmin(unit.tx, actor, input.circleId);
    await removeCircle(unit, circle);
    return circle;
  });
  await removeUnusedFiles(deps);
  return result;
}

/** Ends the actor's membership; returns the circle as it was. The circle is deleted with its last member. */
export async function leaveCircle(deps: Deps, actor: ActorRef, input: CircleInput): Promise<Circle> {
  const result = await transact(deps, async (unit) => {
    if (actor.kind === 'user') await lockForMemberRemoval(unit, actor.id, [input.circleId]);
    const circle = await requireMember(unit.tx, actor, input.circleId);
    const user = await requireCaller(unit.tx, actor);
    await removeFromCircle(unit, user, circle, { cause: 'left' });
    return circle;
  });
  await removeUnusedFiles(deps);
  return result;
}

/** Ends another user's membership. Throws NOT_FOUND, FORBIDDEN unless an ADMIN, or for oneself. */
export async function kickFromCircle(
  deps: Deps,
  actor: ActorRef,
  input: CircleInput & { readonly email: string },
): Promise<Circle> {
  const email = parseEmail('email', input.email);
  const { result, kicked } = await transact(deps, async (unit) => {
    const user = await users.findByEmail(unit.tx, email);
    if (user === undefined) await unit.lock(circleTopic(input.circleId));
    else await lockForMemberRemoval(unit, user.id, [input.circleId]);
    const circle = await requireCircleAdmin(unit.tx, actor, input.circleId);
    const by = await requireCaller(unit.tx, actor);
    if (user === undefined || !(await circles.isMember(unit.tx, circle.id, user.id)))
      throw notFound('The member');
    if (user.id === by.id) throw forbidden('You may leave the circle, but not kick yourself.');
    await removeFromCircle(unit, user, circle, { cause: 'kicked', by });
    return { result: circle, kicked: user };
  });
  deps.securityLog.record('member kicked', {
    account: { kind: 'user', id: kicked.id },
    by: actor,
    topic: circleTopic(input.circleId),
  });
  await removeUnusedFiles(deps);
  return result;
}

/** Finds the circles of a user, or the one of a device. */
export async function findCirclesByActor(deps: Deps, actor: ActorRef): Promise<Circle[]> {
  return circles.findByActor(deps.db, actor);
}

/** Returns a circle. Throws NOT_FOUND unless the actor belongs to it. */
export async function requireCircle(deps: Deps, actor: ActorRef, id: CircleId): Promise<Circle> {
  const { circle } = await requireCircleAccess(deps.db, actor, id);
  return circle;
}

/** Finds circles without an access check, for ids that the actor was already shown. */
export async function findCirclesById(deps: Deps, ids: readonly CircleId[]): Promise<Map<CircleId, Circle>> {
  return indexById(await circles.findByIds(deps.db, ids));
}

/** Finds the memberships of circles, oldest first, without an access check. */
export async function findMembershipsByCircles(
  deps: Deps,
  ids: readonly CircleId[],
): Promise<Map<CircleId, Membership[]>> {
  return groupBy(
    ids,
    await circles.findMembershipsByCircles(deps.db, ids),
    (membership) => membership.circleId,
  );
}

/** Returns a membership. Throws NOT_FOUND unless the actor belongs to its circle. */
export async function requireMembership(deps: Deps, actor: ActorRef, id: MembershipId): Promise<Membership> {
  const membership = await circles.findMembership(deps.db, id);
  const access = membership && (await circles.findAccess(deps.db, actor, membership.circleId));
  if (membership === undefined || access === undefined) throw notFound('The membership');
  return membership;
}

export async function openCircleEvents(
  deps: Deps,
  session: Session,
  input: CircleInput & { readonly after: string | null },
  options: ReaderOptions = {},
): Promise<EventStream> {
  return openStream(deps, {
    topic: circleTopic(input.circleId),
    actor: session.actor,
    after: input.after,
    authorize: async () => {
      await requireCircleAccess(deps.db, session.actor, input.circleId);
    },
    signal: options.signal,
    budget: options.budget,
  });
}
