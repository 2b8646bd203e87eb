import * as circles from '../db/circles.ts';
import type { Circle, Membership } from '../db/tables.ts';
import * as users from '../db/users.ts';
import { forbidden, notFound } from '../errors.ts';
import { accountTopic, circleTopic } from '../events/event.ts';
import { transact } from '../events/unit-of-work.ts';
import { openStream } from '../events/stream.ts';
import type { EventStream, Reader } from '../events/stream.ts';
import type { CircleId, MembershipId } from '../ids.ts';
import { requireCaller, requireCircleAccess, requireCircleAdmin, requireMember } from './circle-access.ts';
import { endMembership, lockForDeletion, lockForLeaving, removeCircle } from './leaving.ts';
import type { Deps } from './deps.ts';
import { byId, grouped } from '../lib/group-rows.ts';
import { parseEmail, parseName } from '../lib/text.ts';
import type { ActorRef, Session } from '../actor.ts';
import { requireUser } from '../actor.ts';

export {
  acceptInvitation,
  declineInvitation,
  findInvitationsOf,
  findInvitationsOfCircles,
  inviteToCircle,
  requireInvitation,
} from './invitations.ts';

interface CircleInput {
  readonly circleId: CircleId;
}

export async function createCircle(
  deps: Deps,
  actor: ActorRef,
  input: { readonly name: string },
): Promise<Circle> {
  const userId = requireUser(actor);
  const name = parseName('name', input.name);
  return transact(deps, async (unit) => {
    // Held so that a deletion of the account sees this circle.
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

/** Answers the circle as it was. */
export async function deleteCircle(deps: Deps, actor: ActorRef, input: CircleInput): Promise<Circle> {
  return transact(deps, async (unit) => {
    await lockForDeletion(unit, input.circleId);
    const circle = await requireCircleAdmin(unit.tx, actor, input.circleId);
    await removeCircle(unit, circle);
    return circle;
  });
}

/** Answers the circle as it was; the last member takes it along. */
export async function leaveCircle(deps: Deps, actor: ActorRef, input: CircleInput): Promise<Circle> {
  return transact(deps, async (unit) => {
    if (actor.kind === 'user') await lockForLeaving(unit, actor.id, [input.circleId]);
    const circle = await requireMember(unit.tx, actor, input.circleId);
    const user = await requireCaller(unit.tx, actor);
    await endMembership(unit, user, circle, { cause: 'left' });
    return circle;
  });
}

export async function kickFromCircle(
  deps: Deps,
  actor: ActorRef,
  input: CircleInput & { readonly email: string },
): Promise<Circle> {
  const email = parseEmail('email', input.email);
  return transact(deps, async (unit) => {
    const user = await users.findByEmail(unit.tx, email);
    if (user === undefined) await unit.lock(circleTopic(input.circleId));
    else await lockForLeaving(unit, user.id, [input.circleId]);
    const circle = await requireCircleAdmin(unit.tx, actor, input.circleId);
    const by = await requireCaller(unit.tx, actor);
    if (user === undefined || !(await circles.isMember(unit.tx, circle.id, user.id)))
      throw notFound('The member');
    if (user.id === by.id) throw forbidden('You may leave the circle, but not kick yourself.');
    await endMembership(unit, user, circle, { cause: 'kicked', by });
    return circle;
  });
}

/** The circles of a user, or the one of a device. */
export async function findCirclesOf(deps: Deps, actor: ActorRef): Promise<Circle[]> {
  return circles.findOfAccount(deps.db, actor);
}

/** Throws NOT_FOUND unless the actor belongs to the circle. */
export async function requireCircle(deps: Deps, actor: ActorRef, id: CircleId): Promise<Circle> {
  const { circle } = await requireCircleAccess(deps.db, actor, id);
  return circle;
}

/** For circles that the actor was already shown: checks nothing. */
export async function findCirclesById(deps: Deps, ids: readonly CircleId[]): Promise<Map<CircleId, Circle>> {
  return byId(await circles.findByIds(deps.db, ids));
}

/** Members of each circle, oldest first. Checks nothing. */
export async function findMembershipsOfCircles(
  deps: Deps,
  ids: readonly CircleId[],
): Promise<Map<CircleId, Membership[]>> {
  return grouped(ids, await circles.findMemberships(deps.db, ids), (membership) => membership.circleId);
}

/** Throws NOT_FOUND unless the actor belongs to its circle. */
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
  reader: Reader = {},
): Promise<EventStream> {
  return openStream(deps, {
    topic: circleTopic(input.circleId),
    actor: session.actor,
    after: input.after,
    authorise: async () => {
      await requireCircleAccess(deps.db, session.actor, input.circleId);
    },
    signal: reader.signal,
    budget: reader.budget,
  });
}
